"""The REST API: POST a frame, hear what is in it; POST a job, hear what becomes of it."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_apigateway as apigw
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.acknowledge import acknowledge
from infra.program import log_group
from infra.settings import Settings

LOGS_POLICY = "arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
PICTURES = ["image/jpeg", "image/png", "image/webp"]

# A field of the access log and where API Gateway has it: who called, what came of it, how long which part took.
LOGGED = {
    "request": "$context.requestId",
    "time": "$context.requestTimeEpoch",
    "caller": "$context.identity.sourceIp",
    "key": "$context.identity.apiKeyId",
    "principal": "$context.identity.userArn",
    "method": "$context.httpMethod",
    "path": "$context.resourcePath",
    "status": "$context.status",
    "error": "$context.error.message",
    "bytes": "$context.responseLength",
    "ms": "$context.responseLatency",
    "functionMs": "$context.integrationLatency",
}

# What API Gateway refuses itself: our code, and what callers can do. deploy/pool/__main__.py says some of it, too.
REFUSED = {
    apigw.ResponseType.INVALID_API_KEY: ("no_key", "send a key that is valid here in the header x-api-key"),
    apigw.ResponseType.MISSING_AUTHENTICATION_TOKEN: (
        "no_such_path",
        "nothing answers to this method and path, or the request wants a signature (SigV4) and has none",
    ),
    apigw.ResponseType.REQUEST_TOO_LARGE: ("too_large", "the request is too large; send less than 4.5 MB"),
    apigw.ResponseType.THROTTLED: ("throttled", "too many requests at once; try again in a moment"),
    apigw.ResponseType.QUOTA_EXCEEDED: ("quota", "this key has no requests left for today; try again tomorrow"),
}


class Api(Construct):
    """`POST /frames` with a picture, or with JSON that has one in base64; for holders of the key, or IAM principals.

    With `jobs`, a function that answers for them: `POST /jobs`, `GET /jobs/{id}` and `DELETE /jobs/{id}`.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        settings: Settings,
        classifier: lambda_.IFunction,
        jobs: lambda_.IFunction | None,
    ) -> None:
        super().__init__(scope, name)
        self.log = log_group(self, "AccessLog", path=f"/{settings.name}/api", days=settings.log_days)
        self.rest = apigw.RestApi(
            self,
            "Rest",
            rest_api_name=settings.name,
            description="Says what is in a frame, and takes jobs",
            endpoint_types=[apigw.EndpointType.REGIONAL],
            binary_media_types=PICTURES,
            cloud_watch_role=True,  # once an account and region; without it API Gateway writes no log
            deploy_options=self._stage(settings),
            default_cors_preflight_options=_cors(settings),
        )
        by_key = settings.auth == "key"
        self._callers: dict[str, Any] = {
            "api_key_required": by_key,
            "authorization_type": apigw.AuthorizationType.NONE if by_key else apigw.AuthorizationType.IAM,
        }
        self._validator = self.rest.add_request_validator("Validator", validate_request_body=True)
        self._frames(classifier)
        if jobs:
            self._jobs(jobs)
        self._errors(settings)
        self.key = self._key(settings) if settings.auth == "key" else None
        self._acknowledge(settings)

    def _stage(self, settings: Settings) -> apigw.StageOptions:
        fields = ",".join(f'"{name}":"{where}"' for name, where in LOGGED.items())
        return apigw.StageOptions(
            stage_name="v1",
            access_log_destination=apigw.LogGroupLogDestination(self.log),
            access_log_format=apigw.AccessLogFormat.custom(f"{{{fields}}}"),
            logging_level=apigw.MethodLoggingLevel.ERROR,
            data_trace_enabled=False,  # pictures and keys are nobody's to log
            tracing_enabled=settings.tracing,
            throttling_rate_limit=settings.rate,
            throttling_burst_limit=settings.burst,
        )

    def _frames(self, classifier: lambda_.IFunction) -> None:
        schema = apigw.JsonSchema(
            schema=apigw.JsonSchemaVersion.DRAFT4,
            type=apigw.JsonSchemaType.OBJECT,
            required=["image"],
            properties={
                "image": apigw.JsonSchema(type=apigw.JsonSchemaType.STRING, min_length=1),
                "top": apigw.JsonSchema(type=apigw.JsonSchemaType.INTEGER, minimum=1, maximum=1000),
                "model": apigw.JsonSchema(type=apigw.JsonSchemaType.STRING, min_length=1, max_length=64),
            },
        )
        self.rest.root.add_resource("frames").add_method(
            "POST",
            apigw.LambdaIntegration(classifier, timeout=Duration.seconds(29), allow_test_invoke=False),
            request_models={"application/json": self.rest.add_model("Frame", schema=schema)},
            request_validator=self._validator,
            **self._callers,
        )

    def _jobs(self, jobs: lambda_.IFunction) -> None:
        schema = apigw.JsonSchema(
            schema=apigw.JsonSchemaVersion.DRAFT4,
            type=apigw.JsonSchemaType.OBJECT,
            required=["name", "tasks"],
            properties={
                "name": apigw.JsonSchema(type=apigw.JsonSchemaType.STRING, min_length=1, max_length=200),
                "tasks": apigw.JsonSchema(type=apigw.JsonSchemaType.ARRAY, min_items=1, max_items=20_000),
                "limits": apigw.JsonSchema(type=apigw.JsonSchemaType.OBJECT),
            },
        )
        answers = apigw.LambdaIntegration(jobs, timeout=Duration.seconds(29), allow_test_invoke=False)
        resource = self.rest.root.add_resource("jobs")
        resource.add_method(
            "POST",
            answers,
            request_models={"application/json": self.rest.add_model("Job", schema=schema)},
            request_validator=self._validator,
            **self._callers,
        )
        one = resource.add_resource("{id}")
        for verb in ("GET", "DELETE"):
            one.add_method(verb, answers, request_validator=self._validator, **self._callers)

    def _errors(self, settings: Settings) -> None:
        """API Gateway's own answers have the form of the function's: a code, and what to do."""
        headers = {"Access-Control-Allow-Origin": f"'{settings.cors}'"} if settings.cors else {}
        later = {"Retry-After": "'1'"}
        said = "$context.error.messageString"
        for kind, body in (
            *((kind, _problem(code, f'"{message}"')) for kind, (code, message) in REFUSED.items()),
            (apigw.ResponseType.BAD_REQUEST_BODY, _problem("bad_json", '"$context.error.validationErrorString"')),
            (apigw.ResponseType.DEFAULT_4_XX, _problem("refused", said)),
            (apigw.ResponseType.DEFAULT_5_XX, _problem("failed", said)),
        ):
            self.rest.add_gateway_response(
                f"Response{kind.response_type}",
                type=kind,
                response_headers=headers | (later if kind is apigw.ResponseType.THROTTLED else {}),
                templates={"application/json": body},
            )

    def _key(self, settings: Settings) -> apigw.IApiKey:
        key = self.rest.add_api_key("Key", description=f"Calls {settings.name}")
        quota = apigw.QuotaSettings(limit=settings.daily, period=apigw.Period.DAY) if settings.daily else None
        plan = self.rest.add_usage_plan(
            "Plan",
            description="What one key may do",
            throttle=apigw.ThrottleSettings(rate_limit=settings.rate, burst_limit=settings.burst),
            quota=quota,
            api_stages=[apigw.UsagePlanPerApiStage(api=self.rest, stage=self.rest.deployment_stage)],
        )
        plan.add_api_key(key)
        return key

    def _acknowledge(self, settings: Settings) -> None:
        reasons: dict[str, str] = {
            "APIG2": "the POST's body is validated; a preflight request has none",
            "COG4": "callers are programs: they have a key with a plan, or sign as IAM principals",
        }
        if settings.auth == "key":
            reasons["APIG4"] = "the key and its plan bound what anyone can do; -c auth=iam asks for signatures"
        elif settings.cors:
            reasons["APIG4"] = "browsers send preflight requests unsigned"
        acknowledge(self.rest, reasons)
        acknowledge(
            self.rest.deployment_stage, {"APIG3": "a firewall costs more than the idle stack; calls are throttled"}
        )
        acknowledge(
            self.rest,
            {f"IAM4[Policy::{LOGS_POLICY}]": "AWS's own for API Gateway's logs, for all APIs of an account"},
        )


def _problem(code: str, message: str) -> str:
    """The template of an answer; `message` is a string in JSON, or a variable that API Gateway makes one of."""
    return f'{{"error":{{"code":"{code}","message":{message}}}}}'


def _cors(settings: Settings) -> Any:
    if not settings.cors:
        return None
    return apigw.CorsOptions(
        allow_origins=[settings.cors],
        allow_methods=["POST", "GET", "DELETE"],
        allow_headers=["Content-Type", "X-Api-Key", "Authorization", "X-Amz-Date", "X-Amz-Security-Token"],
        max_age=Duration.hours(1),
    )
