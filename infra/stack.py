"""The stack: puts the constructs together and grants each what it needs of the others."""

from __future__ import annotations

from aws_cdk import CfnOutput, Duration, Stack, Tags
from constructs import Construct

from infra import grants
from infra.alarms import Alarms
from infra.api import Api
from infra.budget import Budget
from infra.classifier import Classifier
from infra.coordinator import Coordinator
from infra.dashboard import Dashboard
from infra.jobs import Jobs
from infra.layers import Layers
from infra.network import Network
from infra.packages import Packages
from infra.queue import Queue
from infra.settings import Settings
from infra.storage import Storage
from infra.warmup import Warmup
from infra.workers import Workers

JOBS = "jobs/"
"""Where in the bucket of results jobs are: `jobs/ID/job`, `status.json`, `ledger/` are the coordinator's alone,"""
STORE = "jobs/*/store/"
"""this is where a job's workers keep its objects,"""
CODE = "jobs/*/code/"
"""and this the modules that it takes along: workers run them, so no role of the stack but the coordinator's may write
here; the account's own people do."""


class FastslowStack(Stack):
    """All of fastslow in one stack that belongs to no account or region until it is deployed."""

    def __init__(
        self, scope: Construct, name: str, *, settings: Settings, packages: Packages, prices: str = ""
    ) -> None:
        super().__init__(scope, name, description="fastslow: classifies frames, encodes video with many small workers")
        for key, value in (("project", settings.name), *settings.tags):
            Tags.of(self).add(key, value)
        self.settings, self.prices = settings, prices
        self.storage = Storage(
            self,
            "Storage",
            media_days=settings.media_days,
            results_days=settings.results_days,
            log_days=settings.log_days,
        )
        self.layers = Layers(self, "Layers", arch=settings.arch, packages=packages)
        self.alarms = Alarms(self, "Alarms", email=settings.email)
        self.queue = Queue(self, "Queue", prefix=settings.name) if settings.coordinator else None
        self.jobs = None
        if self.queue:
            self.jobs = Jobs(
                self,
                "Jobs",
                settings=settings,
                packages=packages,
                layers=[self.layers.code],
                results=self.storage.results,
                queue=self.queue,
            )
        self._frames(packages)
        self._workers(packages)
        self._watch()

    def _frames(self, packages: Packages) -> None:
        """The classifier, its API, and what keeps it warm."""
        self.classifier = Classifier(
            self,
            "Classifier",
            settings=self.settings,
            packages=packages,
            layers=[self.layers.vision, self.layers.code],
            models=self.storage.models,
        )
        grants.read(self.classifier.program.role, self.storage.models)
        jobs = self.jobs.program.function if self.jobs else None
        self.api = Api(self, "Api", settings=self.settings, classifier=self.classifier.alias, jobs=jobs)
        self.warmup = None
        if self.settings.warm:
            self.warmup = Warmup(
                self,
                "Warmup",
                settings=self.settings,
                packages=packages,
                target=self.classifier.alias,
            )
            grants.call(self.warmup.program.role, self.classifier.alias)
        self._say(
            FramesUrl=self.api.rest.url_for_path("/frames"),
            ModelsBucket=self.storage.models.bucket_name,
            ClassifierAlias=self.classifier.alias.function_arn,
        )
        if self.api.key:
            self._say(ApiKeyId=self.api.key.key_id)

    def _workers(self, packages: Packages) -> None:
        """The workers, and the coordinator that calls them and that they call."""
        storage, settings = self.storage, self.settings
        buckets = {
            "FASTSLOW_MODELS_BUCKET": storage.models.bucket_name,
            "FASTSLOW_MEDIA_BUCKET": storage.media.bucket_name,
            "FASTSLOW_RESULTS_BUCKET": storage.results.bucket_name,
        }
        self.network = Network(
            self,
            "Network",
            prefix=settings.name,
            port=settings.coordinator_port,
            flow_logs=settings.flow_logs,
            log_days=settings.log_days,
        )
        self.workers = Workers(
            self,
            "Workers",
            settings=settings,
            packages=packages,
            layers=[self.layers.video, self.layers.vision, self.layers.code],
            network=self.network,
            environment=buckets,
        )
        for worker in self.workers.programs:
            grants.read(worker.role, storage.models)
            grants.read(worker.role, storage.media)
            grants.read(worker.role, storage.results, STORE)  # what another worker left there
            grants.write(worker.role, storage.results, STORE)
            grants.read(worker.role, storage.results, CODE)
        self.coordinator = None
        if self.queue:
            names = ",".join(worker.function.function_name for worker in self.workers.programs)
            self.coordinator = Coordinator(
                self,
                "Coordinator",
                settings=settings,
                network=self.network,
                code=packages.layer_as_object(self, "CoordinatorCode", "code"),
                libraries=packages.layer_as_object(self, "CoordinatorLibraries", "coordinator"),
                environment={
                    **buckets,
                    "FASTSLOW_QUEUE": self.queue.jobs.queue_url,
                    "FASTSLOW_REFUSED_QUEUE": self.queue.refused.queue_url,
                    "FASTSLOW_WORKERS": names,
                    "FASTSLOW_PRICES": self.prices,
                    "FASTSLOW_PORT": str(settings.coordinator_port),
                    "AWS_DEFAULT_REGION": self.region,
                },
                alarms=self.alarms.topic,
            )
            role = self.coordinator.role
            for worker in self.workers.programs:
                grants.call(role, worker.function)
            grants.receive(role, self.queue.jobs)
            grants.send(role, self.queue.refused)
            grants.read(role, storage.results, JOBS)
            grants.write(role, storage.results, JOBS)
            grants.delete(role, storage.results, JOBS)
            self._say(
                JobsUrl=self.api.rest.url_for_path("/jobs"),
                JobsQueue=self.queue.jobs.queue_url,
                RefusedQueue=self.queue.refused.queue_url,
            )
        self._say(MediaBucket=storage.media.bucket_name, ResultsBucket=storage.results.bucket_name)

    def _watch(self) -> None:
        """Alarms, dashboard, budget."""
        classify, rest = self.classifier.program.function, self.api.rest
        minute = Duration.minutes(1)
        slow = rest.metric_latency(statistic="p99", period=minute)
        self.alarms.add("ClassifierErrors", "The classifier fails", classify.metric_errors(period=minute), above=0)
        self.alarms.add(
            "ClassifierThrottles", "More calls than environments", classify.metric_throttles(period=minute), above=0
        )
        self.alarms.add(
            "ApiErrors", "Callers get 5xx", rest.metric_server_error(period=minute, statistic="sum"), above=0
        )
        self.alarms.add("ApiSlow", "One call in a hundred takes over 3 s", slow, above=3000)
        if self.warmup:
            cold = self.warmup.program.function.metric_errors(period=minute)
            self.alarms.add("WarmupErrors", "Environments are not kept warm", cold, above=0, minutes=1)
        workers = [worker.function for worker in self.workers.programs]
        for number, worker in enumerate(workers):
            self.alarms.add(
                f"Worker{number}Errors", "A worker fails", worker.metric_errors(period=minute), above=0, minutes=1
            )
        if self.queue and self.jobs and self.coordinator:
            late = self.queue.jobs.metric_approximate_age_of_oldest_message(period=minute, statistic="max")
            self.alarms.add("JobsWait", "A job waits for the coordinator for over 5 minutes", late, above=300)
            refused = self.queue.refused.metric_approximate_number_of_messages_visible(period=minute, statistic="max")
            self.alarms.add("JobsRefused", "A message in the queue of jobs made no sense", refused, above=0, minutes=1)
            self.alarms.add(
                "CoordinatorGone", "No healthy machine coordinates", self.coordinator.healthy, below=1, minutes=10
            )
            failed = self.jobs.program.function.metric_errors(period=minute)
            self.alarms.add("JobsErrors", "The function that takes jobs fails", failed, above=0, minutes=1)
        Dashboard(
            self,
            "Dashboard",
            prefix=self.settings.name,
            rest=rest,
            classifier=classify,
            workers=workers,
            jobs=self.queue.jobs if self.queue else None,
        )
        if self.settings.budget:
            Budget(self, "Budget", prefix=self.settings.name, dollars=self.settings.budget, email=self.settings.email)

    def _say(self, **outputs: str) -> None:
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
