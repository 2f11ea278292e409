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
from infra.layers import Layers
from infra.network import Network
from infra.packages import Packages
from infra.settings import Settings
from infra.storage import Storage
from infra.warmup import Warmup
from infra.workers import Workers


class FastslowStack(Stack):
    """All of fastslow in one stack that belongs to no account or region until it is deployed."""

    def __init__(self, scope: Construct, name: str, *, settings: Settings, packages: Packages) -> None:
        super().__init__(scope, name, description="fastslow: classifies frames, encodes video with many small workers")
        for key, value in (("project", settings.name), *settings.tags):
            Tags.of(self).add(key, value)
        self.settings = settings
        self.storage = Storage(
            self,
            "Storage",
            media_days=settings.media_days,
            results_days=settings.results_days,
            log_days=settings.log_days,
        )
        self.layers = Layers(self, "Layers", arch=settings.arch, packages=packages)
        self.alarms = Alarms(self, "Alarms", email=settings.email)
        self._frames(packages)
        self._jobs(packages)
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
        self.api = Api(self, "Api", settings=self.settings, classifier=self.classifier.alias)
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

    def _jobs(self, packages: Packages) -> None:
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
            grants.read(worker.role, storage.results)  # what another worker left there
            grants.write(worker.role, storage.results)
        self.coordinator = None
        if settings.coordinator:
            names = ",".join(worker.function.function_name for worker in self.workers.programs)
            self.coordinator = Coordinator(
                self,
                "Coordinator",
                settings=settings,
                network=self.network,
                code=packages.layer_as_object(self, "CoordinatorCode", "code"),
                environment={
                    **buckets,
                    "FASTSLOW_WORKERS": names,
                    "FASTSLOW_PORT": str(settings.coordinator_port),
                    "AWS_DEFAULT_REGION": self.region,
                },
                alarms=self.alarms.topic,
            )
            role = self.coordinator.role
            for worker in self.workers.programs:
                grants.call(role, worker.function)
            grants.read(role, storage.media)
            grants.read(role, storage.results)
            grants.write(role, storage.results)
            grants.delete(role, storage.results)
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
        Dashboard(self, "Dashboard", prefix=self.settings.name, rest=rest, classifier=classify, workers=workers)
        if self.settings.budget:
            Budget(self, "Budget", prefix=self.settings.name, dollars=self.settings.budget, email=self.settings.email)

    def _say(self, **outputs: str) -> None:
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
