"""What matters about what is deployed: nothing public, no more permission than needed, caps on what could run away."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mu.service.prices import Prices
from tests.infra.conftest import ROOT, Template, prices

Synthesise = Callable[..., Template]
FUNCTIONS = ("classify", "jobs", "warmup", "worker")


def methods(template: Template) -> dict[tuple[str, str], dict[str, Any]]:
    """The methods of the API by verb and path."""
    paths = {name: each["PathPart"] for name, each in template.all("ApiGateway::Resource").items()}
    return {
        (each["HttpMethod"], paths[each["ResourceId"]["Ref"]]): each
        for each in template.all("ApiGateway::Method").values()
        if "Ref" in each["ResourceId"]
    }


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_no_bucket_is_public_unencrypted_or_left_uncleaned(template: Template) -> None:
    buckets = template.all("S3::Bucket")
    assert len(buckets) == 4
    for bucket in buckets.values():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert bucket["BucketEncryption"]
        assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        rules = bucket["LifecycleConfiguration"]["Rules"]
        assert any(rule.get("AbortIncompleteMultipartUpload") == {"DaysAfterInitiation": 1} for rule in rules)
        cleaned = any("ExpirationInDays" in rule or "NoncurrentVersionExpiration" in rule for rule in rules)
        assert cleaned, "nothing is ever deleted from this bucket"


def test_every_bucket_refuses_what_is_not_tls(template: Template) -> None:
    policies = {
        policy["Bucket"]["Ref"]: policy["PolicyDocument"] for policy in template.all("S3::BucketPolicy").values()
    }
    for bucket in template.all("S3::Bucket"):
        conditions = [each["Condition"] for each in policies[bucket]["Statement"] if each["Effect"] == "Deny"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in conditions
        assert {"NumericLessThan": {"s3:TlsVersion": 1.2}} in conditions


def test_models_are_versioned_and_never_expire(template: Template) -> None:
    versioned = [each for each in template.all("S3::Bucket").values() if "VersioningConfiguration" in each]
    assert [each["VersioningConfiguration"] for each in versioned] == [{"Status": "Enabled"}]
    assert not any("ExpirationInDays" in rule for rule in versioned[0]["LifecycleConfiguration"]["Rules"])


def test_functions_run_what_the_packages_are_built_for(synthesise: Synthesise) -> None:
    for arch in ("arm64", "x86_64"):
        template = synthesise(arch=arch)
        functions = template.all("Lambda::Function").values()
        assert {each["Runtime"] for each in functions} == {"python3.13"}
        assert {tuple(each["Architectures"]) for each in functions} == {(arch,)}
        assert all(each["CompatibleArchitectures"] == [arch] for each in template.all("Lambda::LayerVersion").values())
        assert ("arm64" in str(template.one("EC2::LaunchTemplate"))) == (arch == "arm64")


def test_the_entry_points_of_the_functions_exist(template: Template) -> None:
    handlers = {each["Handler"] for each in template.all("Lambda::Function").values()}
    assert handlers == {f"functions.{name}.handler.handler" for name in FUNCTIONS}
    for name in FUNCTIONS:
        assert "def handler(" in (ROOT / "functions" / name / "handler.py").read_text()


def test_the_classifier_is_capped_and_called_through_its_alias(template: Template) -> None:
    function = template.function("fastslow-classify")
    assert function["ReservedConcurrentExecutions"] == 200
    assert function["Timeout"] < 29
    assert template.one("Lambda::Alias")["Name"] == "live"
    assert "ReservedConcurrentExecutions" not in template.function("fastslow-worker-0")


def test_the_caps_are_settings(synthesise: Synthesise) -> None:
    template = synthesise(concurrency=7, snapstart="true", rate=3, burst=5, daily=100, warm=2, tracing="true")
    function = template.function("fastslow-classify")
    assert function["ReservedConcurrentExecutions"] == 7
    assert function["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    assert function["TracingConfig"] == {"Mode": "Active"}
    plan = template.one("ApiGateway::UsagePlan")
    assert plan["Throttle"] == {"RateLimit": 3, "BurstLimit": 5}
    assert plan["Quota"] == {"Limit": 100, "Period": "DAY"}


def test_nobody_calls_the_api_without_key_and_plan(template: Template) -> None:
    found = methods(template)
    assert set(found) == {("POST", "frames"), ("POST", "jobs"), ("GET", "{id}"), ("DELETE", "{id}")}
    assert len(template.all("ApiGateway::Method")) == 4
    assert all(each["ApiKeyRequired"] is True for each in found.values())
    plan = template.one("ApiGateway::UsagePlan")
    assert plan["Throttle"] == {"RateLimit": 100, "BurstLimit": 200}
    assert template.one("ApiGateway::UsagePlanKey")["KeyType"] == "API_KEY"


def test_iam_signs_instead_of_a_key(synthesise: Synthesise) -> None:
    template = synthesise(auth="iam", cors="https://pages.example")
    found = methods(template)
    signed = [each for (verb, _), each in found.items() if verb != "OPTIONS"]
    assert len(signed) == 4
    assert {each["AuthorizationType"] for each in signed} == {"AWS_IAM"}
    assert not any(each["ApiKeyRequired"] for each in signed)
    assert not template.all("ApiGateway::ApiKey")
    assert "https://pages.example" in json.dumps(found["OPTIONS", "frames"]["Integration"])


def test_no_page_may_call_unless_asked(template: Template) -> None:
    assert "Access-Control" not in json.dumps(template.whole)


def test_pictures_are_binary_and_json_is_checked(template: Template) -> None:
    assert set(template.one("ApiGateway::RestApi")["BinaryMediaTypes"]) == {"image/jpeg", "image/png", "image/webp"}
    assert template.one("ApiGateway::RequestValidator")["ValidateRequestBody"] is True
    schemas = [each["Schema"] for each in template.all("ApiGateway::Model").values()]
    assert sorted(each["required"] for each in schemas) == [["image"], ["name", "tasks"]]
    posts = [each for (verb, _), each in methods(template).items() if verb == "POST"]
    (validator,) = template.all("ApiGateway::RequestValidator")
    for post in posts:
        assert post["RequestModels"].keys() == {"application/json"}
        assert post["RequestValidatorId"] == {"Ref": validator}, "a model alone checks nothing"


def test_errors_of_the_api_itself_are_json(template: Template) -> None:
    for response in template.all("ApiGateway::GatewayResponse").values():
        text = response["ResponseTemplates"]["application/json"]
        filled = text.replace("$context.error.messageString", '"what"').replace(
            "$context.error.validationErrorString", "why"
        )
        assert json.loads(filled)["error"].keys() == {"code", "message"}


def test_each_refusal_of_the_api_has_its_code_and_says_what_to_do(template: Template) -> None:
    told = {
        each["ResponseType"]: json.loads(each["ResponseTemplates"]["application/json"])["error"]
        for each in template.all("ApiGateway::GatewayResponse").values()
        if "$context" not in json.dumps(each)
    }
    assert {kind: each["code"] for kind, each in told.items()} == {
        "INVALID_API_KEY": "no_key",
        "MISSING_AUTHENTICATION_TOKEN": "no_such_path",
        "REQUEST_TOO_LARGE": "too_large",
        "THROTTLED": "throttled",
        "QUOTA_EXCEEDED": "quota",
    }
    # What this machine's environments say in place of API Gateway.
    pool = pytest.importorskip("deploy.pool.__main__", reason="the pool needs the extra: pip install -e '.[aws]'")
    assert tuple(told["REQUEST_TOO_LARGE"].values()) == pool.TOO_LARGE
    assert tuple(told["THROTTLED"].values()) == pool.THROTTLED


def test_the_access_log_is_json_without_what_is_secret(template: Template) -> None:
    log = template.one("ApiGateway::Stage")["AccessLogSetting"]["Format"]
    assert {"status", "caller", "ms"} <= json.loads(log).keys()
    assert "body" not in log.lower()
    assert template.one("ApiGateway::Stage")["MethodSettings"][0]["DataTraceEnabled"] is False


def test_what_the_roles_may_do(template: Template) -> None:
    """The whole list: who gets more must be added here."""
    logs = {"logs:CreateLogStream", "logs:PutLogEvents"}
    network = {
        *("ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"),
        *("ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
    }
    read, write = {"s3:GetObject", "s3:ListBucket"}, {"s3:PutObject", "s3:AbortMultipartUpload"}
    expected = {
        "fastslow-classify": logs | read,
        "fastslow-warmup": logs | {"lambda:InvokeFunction"},
        "fastslow-jobs": logs | read | write | {"sqs:SendMessage"},
        **{f"fastslow-worker-{n}": logs | read | write | network for n in range(4)},
    }
    for name, actions in expected.items():
        statements = template.statements(template.function(name)["Role"])
        assert {action for each in statements for action in listed(each["Action"])} == actions, name
    statements = template.statements(template.one("IAM::InstanceProfile")["Roles"][0])
    session = {"ssm:UpdateInstanceInformation"} | {
        f"ssmmessages:{verb}{kind}Channel" for verb in ("Create", "Open") for kind in ("Control", "Data")
    }
    assert {action for each in statements for action in listed(each["Action"])} == (
        logs
        | {"logs:DescribeLogStreams", "lambda:InvokeFunction", "s3:DeleteObject"}
        | read
        | write
        | session
        | {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:SendMessage"}
        | {"lambda:GetAccountSettings", "autoscaling:SetInstanceHealth"}
    )


def test_a_permission_for_everything_is_one_that_cannot_be_narrowed(template: Template) -> None:
    allowed = {
        action
        for policy in template.all("IAM::Policy").values()
        for each in policy["PolicyDocument"]["Statement"]
        if "*" in listed(each["Resource"])
        for action in listed(each["Action"])
    }
    session = ("ssm:UpdateInstanceInformation", "ssmmessages:")
    assert all(action.startswith(("ec2:", "lambda:GetAccountSettings", *session)) for action in allowed)
    everything = [policy["PolicyDocument"] for policy in template.all("IAM::Policy").values()]
    assert not [
        each
        for each in everything
        if '"s3:*' in json.dumps(each) or '"*"' in json.dumps(each).replace('"Resource": "*"', "")
    ]


def test_the_classifier_reads_models_alone(template: Template) -> None:
    (models,) = [name for name, each in template.all("S3::Bucket").items() if "VersioningConfiguration" in each]
    statements = template.statements(template.function("fastslow-classify")["Role"])
    reached = json.dumps([each["Resource"] for each in statements if "s3:" in json.dumps(each["Action"])])
    assert models in reached
    assert not [name for name in template.all("S3::Bucket") if name != models and name in reached]


def test_the_schedule_keeps_so_many_environments_warm(synthesise: Synthesise, template: Template) -> None:
    assert template.one("Events::Rule")["ScheduleExpression"] == "rate(5 minutes)"
    environment = template.function("fastslow-warmup")["Environment"]["Variables"]
    assert environment["FASTSLOW_WARM_COUNT"] == "4"
    (alias,) = template.all("Lambda::Alias")
    assert environment["FASTSLOW_WARM_FUNCTION"] == {"Ref": alias}
    none = synthesise(warm=0, coordinator="false", concurrency=0, flow_logs="true", email="who@example.com", budget=50)
    assert not none.all("Events::Rule")
    assert "ReservedConcurrentExecutions" not in none.function("fastslow-classify")


def test_workers_are_where_no_route_leads_out(template: Template) -> None:
    workers = [template.function(f"fastslow-worker-{number}") for number in range(4)]
    assert workers[0]["EphemeralStorage"] == {"Size": 2048}
    assert workers[0]["Timeout"] == 900
    subnets = {each["Ref"] for worker in workers for each in worker["VpcConfig"]["SubnetIds"]}
    tables = {
        each["RouteTableId"]["Ref"]
        for each in template.all("EC2::SubnetRouteTableAssociation").values()
        if each["SubnetId"]["Ref"] in subnets
    }
    assert len(tables) == 2
    assert not [each for each in template.all("EC2::Route").values() if each["RouteTableId"]["Ref"] in tables]
    endpoint = template.one("EC2::VPCEndpoint")
    assert tables <= {each["Ref"] for each in endpoint["RouteTableIds"]}


def test_only_workers_reach_the_coordinator(template: Template) -> None:
    groups = template.all("EC2::SecurityGroup")
    (workers,) = {
        each["Fn::GetAtt"][0] for each in template.function("fastslow-worker-0")["VpcConfig"]["SecurityGroupIds"]
    }
    (entry,) = [rule for group in groups.values() for rule in group.get("SecurityGroupIngress", [])]
    assert entry["SourceSecurityGroupId"]["Fn::GetAtt"][0] == workers
    assert (entry["FromPort"], entry["ToPort"]) == (8443, 8443)
    assert not template.all("EC2::SecurityGroupIngress")


def test_the_coordinator_replaces_itself_and_keeps_its_secrets(template: Template) -> None:
    group = template.one("AutoScaling::AutoScalingGroup")
    assert (group["MinSize"], group["MaxSize"]) == ("1", "1")
    data = template.one("EC2::LaunchTemplate")["LaunchTemplateData"]
    assert data["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert [disk["Ebs"]["Encrypted"] for disk in data["BlockDeviceMappings"]] == [True]
    assert "KeyName" not in data, "nobody logs in by SSH"
    assert data["ImageId"].startswith("resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023")
    told = prices(1769, "arm64", "t4g.small")
    assert Prices.read(told)
    assert f"FASTSLOW_PRICES={told}\\n" in json.dumps(data["UserData"])


def test_queues_are_encrypted_speak_tls_and_keep_what_is_refused(template: Template) -> None:
    queues = {each["QueueName"]: (name, each) for name, each in template.all("SQS::Queue").items()}
    assert set(queues) == {"fastslow-jobs", "fastslow-jobs-refused"}
    assert all(each["SqsManagedSseEnabled"] is True for _, each in queues.values())
    refused, _ = queues["fastslow-jobs-refused"]
    redrive = queues["fastslow-jobs"][1]["RedrivePolicy"]
    assert redrive == {"deadLetterTargetArn": {"Fn::GetAtt": [refused, "Arn"]}, "maxReceiveCount": 5}
    policies = {each["Queues"][0]["Ref"]: each["PolicyDocument"] for each in template.all("SQS::QueuePolicy").values()}
    for name, _ in queues.values():
        (statement,) = policies[name]["Statement"]
        assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_jobs_and_workers_touch_only_what_is_theirs(template: Template) -> None:
    def below(role: Any, action: str) -> str:
        found = [each for each in template.statements(role) if action in listed(each["Action"])]
        return json.dumps([each["Resource"] for each in found])

    jobs, worker = (template.function(f"fastslow-{name}")["Role"] for name in ("jobs", "worker-0"))
    assert json.loads(below(jobs, "s3:PutObject"))[0]["Fn::Join"][1][1] == "/jobs/*/job"
    assert "/jobs/*" in below(jobs, "s3:GetObject")
    assert "/jobs/*/store/*" in below(worker, "s3:PutObject"), "a worker writes no job's status or journal"
    assert "/jobs/*/code/*" in below(worker, "s3:GetObject")
    for role in (jobs, worker):
        assert "code" not in below(role, "s3:PutObject"), "only people of the account have workers run what is theirs"
    assert "/jobs/*" in below(template.one("IAM::InstanceProfile")["Roles"][0], "s3:DeleteObject")
    for each in template.all("Lambda::EventInvokeConfig").values():
        assert (each["MaximumRetryAttempts"], each["MaximumEventAgeInSeconds"]) == (0, 60)
    assert len(template.all("Lambda::EventInvokeConfig")) == 4


def test_a_machine_that_fails_again_and_again_is_replaced() -> None:
    unit = (ROOT / "infra" / "coordinator_files" / "fastslow-coordinator.service").read_text()
    assert "-m mu.coordinator" in unit
    assert "OnFailure=fastslow-replace.service" in unit
    assert (ROOT / "infra" / "coordinator_files" / "fastslow-replace.service").exists()


def test_what_is_off_is_not_there(synthesise: Synthesise) -> None:
    template = synthesise(
        warm=0, coordinator="false", concurrency=0, flow_logs="true", email="who@example.com", budget=50
    )
    assert not template.all("AutoScaling::AutoScalingGroup")
    assert not template.all("SQS::Queue"), "nobody would take the jobs"
    assert ("POST", "jobs") not in methods(template)
    assert template.one("Budgets::Budget")["Budget"]["BudgetLimit"] == {"Amount": 50, "Unit": "USD"}
    assert template.one("EC2::FlowLog")["TrafficType"] == "REJECT"
    assert template.one("SNS::Subscription")["Endpoint"] == "who@example.com"


def test_alarms_reach_somebody(template: Template) -> None:
    (topic,) = template.all("SNS::Topic")
    alarms = template.all("CloudWatch::Alarm").values()
    queues = {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"}
    functions = {"Errors", "Throttles", "5XXError", "Latency"}
    assert {each["MetricName"] for each in alarms} == functions | queues | {"GroupInServiceInstances"}
    (gone,) = [each for each in alarms if each["MetricName"] == "GroupInServiceInstances"]
    assert (gone["ComparisonOperator"], gone["Threshold"]) == ("LessThanThreshold", 1)
    assert all(each["AlarmActions"] == [{"Ref": topic}] for each in alarms)
    assert all(each["AlarmDescription"] for each in alarms)
    statements = template.one("SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    assert {(each["Effect"], str(each["Principal"])) for each in statements} == {
        ("Deny", "*"),
        ("Allow", "{'Service': 'cloudwatch.amazonaws.com'}"),
    }


def test_the_dashboard_shows_what_was_promised(template: Template) -> None:
    shown = json.dumps(template.one("CloudWatch::Dashboard"))
    for metric in ("Errors", "Throttles", "ColdStart", "CacheHit", "CacheMiss", "SwitchFailed", "p50", "p99"):
        assert metric in shown, metric


def test_everything_is_tagged_and_logs_end(synthesise: Synthesise) -> None:
    template = synthesise(name="other-one", tags="team=video, cost=7", log_days=14)
    assert {"Key": "team", "Value": "video"} in template.function("other-one-classify")["Tags"]
    assert {"Key": "project", "Value": "other-one"} in template.function("other-one-classify")["Tags"]
    assert {each["RetentionInDays"] for each in template.all("Logs::LogGroup").values()} == {14}


def test_no_setting_brings_a_finding(synthesise: Synthesise, template: Template) -> None:
    """Of cdk-nag, of CDK itself, or of cfn-lint."""
    bare = synthesise(warm=0, coordinator="false", concurrency=0, flow_logs="true", email="who@example.com", budget=50)
    other = synthesise(arch="x86_64", auth="iam", cors="https://pages.example", snapstart="true", tracing="true")
    for each in (template, bare, other):
        report = json.loads((each.path.parent / "validation-report.json").read_text())
        assert [found for plugin in report["pluginReports"] for found in plugin["violations"]] == []
    # W3005: CDK says for itself that a function depends on its role.
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--ignore-checks", "W3005", "--"]
    paths = [str(each.path) for each in (template, bare, other)]
    done = subprocess.run([*command, *paths], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout


def test_a_finding_of_cdk_nag_fails_the_synthesis(tmp_path: Path) -> None:
    from aws_cdk import Stack, aws_s3

    from infra.application import application
    from tests.infra.conftest import FLAGS, line_as_package

    context = {**FLAGS, "coordinator": "false", "workers": 1}
    app = application(build=line_as_package, prices=prices, context=context, outdir=str(tmp_path))
    aws_s3.Bucket(Stack(app, "Careless"), "Bucket")
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    report = json.loads((tmp_path / "validation-report.json").read_text())
    rules = {each["ruleName"] for plugin in report["pluginReports"] for each in plugin["violations"]}
    assert {"AwsSolutions-S1", "AwsSolutions-S10"} <= rules
