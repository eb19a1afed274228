#!/usr/bin/env python3
"""Random changes by the AWS API to forty resources, each of which `driftlock check` must find, and none besides.

    scripts/terraform_aws.py --driftlock target/release/driftlock [--changes 200] [--seed N] [--cost]

It needs terraform, the provider hashicorp/aws below a directory that --plugins names as a mirror of the registry has it, and
moto[server] and boto3 from PyPI. Nothing leaves this machine. --cost compares the time of a check with that of
`terraform plan -detailed-exitcode` of the same directory.
"""

import argparse
import contextlib
import json
import os
import pathlib
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import boto3

KINDS = {
    "aws_sqs_queue": 'name = "q{n}"\n  visibility_timeout_seconds = 30',
    "aws_sns_topic": 'name = "t{n}"\n  display_name = "topic"',
    "aws_ssm_parameter": 'name = "/p/{n}"\n  type = "String"\n  insecure_value = "v{n}"',
    "aws_dynamodb_table": 'name = "d{n}"\n  billing_mode = "PROVISIONED"\n  read_capacity = 1\n  write_capacity = 1\n'
    '  hash_key = "k"\n  attribute {{\n    name = "k"\n    type = "S"\n  }}',
    "aws_iam_role": 'name = "r{n}"\n  assume_role_policy = jsonencode({{ Version = "2012-10-17", Statement = [{{ Effect = "Allow",'
    ' Action = "sts:AssumeRole", Principal = {{ Service = "ec2.amazonaws.com" }} }}] }})',
    "aws_iam_user": 'name = "u{n}"',
    "aws_s3_bucket": 'bucket = "driftlock-b{n}"',
    "aws_cloudwatch_log_group": 'name = "l{n}"\n  retention_in_days = 7',
    "aws_security_group": 'name = "g{n}"\n  description = "group"\n  vpc_id = aws_vpc.x["0"].id\n  ingress {{\n    from_port = 443\n'
    '    to_port = 443\n    protocol = "tcp"\n    cidr_blocks = ["10.0.0.0/8"]\n  }}',
    "aws_vpc": 'cidr_block = "10.{n}.0.0/16"\n  enable_dns_hostnames = true',
}
HEAD = """terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
provider "aws" {
  region                      = "eu-central-1"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  s3_use_path_style           = true
}
"""


def changes(clients, dice):
    """What can be done to a resource of each kind: the kind, the attribute that must be told, and the call."""
    token = lambda: f"{dice.randrange(1 << 32):08x}"  # noqa: E731
    sqs, sns, ssm, dynamodb, iam = (clients(name) for name in ("sqs", "sns", "ssm", "dynamodb", "iam"))
    s3, logs, ec2 = (clients(name) for name in ("s3", "logs", "ec2"))
    port = lambda: dice.choice([22, 25, 3306, 5432, 8080])  # noqa: E731

    def rule(number):
        ranges = [{"CidrIp": "0.0.0.0/0"}]
        return [{"IpProtocol": "tcp", "FromPort": number, "ToPort": number, "IpRanges": ranges}]

    def sqs_set(**attributes):
        return lambda it: sqs.set_queue_attributes(QueueUrl=it["url"], Attributes=attributes)

    return [
        ("aws_sqs_queue", "visibility_timeout_seconds", sqs_set(VisibilityTimeout=str(dice.randrange(31, 900)))),
        ("aws_sqs_queue", "delay_seconds", sqs_set(DelaySeconds=str(dice.randrange(1, 900)))),
        ("aws_sqs_queue", "tags", lambda it: sqs.tag_queue(QueueUrl=it["url"], Tags={"Owner": token()})),
        ("aws_sqs_queue", None, lambda it: sqs.delete_queue(QueueUrl=it["url"])),
        ("aws_sns_topic", "display_name", lambda it: sns.set_topic_attributes(TopicArn=it["arn"], AttributeName="DisplayName", AttributeValue=token())),
        ("aws_sns_topic", "tags", lambda it: sns.tag_resource(ResourceArn=it["arn"], Tags=[{"Key": "Owner", "Value": token()}])),
        ("aws_sns_topic", None, lambda it: sns.delete_topic(TopicArn=it["arn"])),
        ("aws_ssm_parameter", "insecure_value", lambda it: ssm.put_parameter(Name=it["name"], Value=token(), Type="String", Overwrite=True)),
        ("aws_ssm_parameter", None, lambda it: ssm.delete_parameter(Name=it["name"])),
        ("aws_dynamodb_table", "read_capacity", lambda it: dynamodb.update_table(TableName=it["name"], ProvisionedThroughput={"ReadCapacityUnits": dice.randrange(2, 99), "WriteCapacityUnits": 1})),
        ("aws_dynamodb_table", "tags", lambda it: dynamodb.tag_resource(ResourceArn=it["arn"], Tags=[{"Key": "Owner", "Value": token()}])),
        ("aws_iam_role", "max_session_duration", lambda it: iam.update_role(RoleName=it["name"], MaxSessionDuration=dice.randrange(3601, 40000))),
        ("aws_iam_role", "assume_role_policy", lambda it: iam.update_assume_role_policy(RoleName=it["name"], PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}, "Sid": token()}]}))),
        ("aws_iam_role", "tags", lambda it: iam.tag_role(RoleName=it["name"], Tags=[{"Key": "Owner", "Value": token()}])),
        ("aws_iam_user", "tags", lambda it: iam.tag_user(UserName=it["name"], Tags=[{"Key": "Owner", "Value": token()}])),
        ("aws_iam_user", None, lambda it: iam.delete_user(UserName=it["name"])),
        ("aws_s3_bucket", "tags", lambda it: s3.put_bucket_tagging(Bucket=it["bucket"], Tagging={"TagSet": [{"Key": "Owner", "Value": token()}]})),
        ("aws_s3_bucket", None, lambda it: s3.delete_bucket(Bucket=it["bucket"])),
        ("aws_cloudwatch_log_group", "retention_in_days", lambda it: logs.put_retention_policy(logGroupName=it["name"], retentionInDays=dice.choice([1, 3, 14, 30, 90]))),
        ("aws_cloudwatch_log_group", None, lambda it: logs.delete_log_group(logGroupName=it["name"])),
        ("aws_security_group", "ingress", lambda it: ec2.authorize_security_group_ingress(GroupId=it["id"], IpPermissions=rule(port()))),
        ("aws_security_group", "ingress", lambda it: ec2.revoke_security_group_ingress(GroupId=it["id"], IpPermissions=[{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}])),
        ("aws_security_group", "tags", lambda it: ec2.create_tags(Resources=[it["id"]], Tags=[{"Key": "Owner", "Value": token()}])),
        ("aws_vpc", "enable_dns_hostnames", lambda it: ec2.modify_vpc_attribute(VpcId=it["id"], EnableDnsHostnames={"Value": False})),
        ("aws_vpc", "tags", lambda it: ec2.create_tags(Resources=[it["id"]], Tags=[{"Key": "Owner", "Value": token()}])),
    ]


class Place:
    def __init__(self, dir_, endpoint, plugins, driftlock):
        self.root, self.driftlock = pathlib.Path(dir_), driftlock
        self.code = self.root / "environments/prod"
        self.code.mkdir(parents=True)
        (self.root / "audit").mkdir()
        text = '[targets.prod]\nterraform = { dir = "environments/prod", env = ["AWS_*"] }\n'
        (self.root / "audit/driftlock.toml").write_text(text)
        blocks = [HEAD]
        for kind, body in KINDS.items():
            text = body.format(n="${each.key}")
            blocks.append(f'resource "{kind}" "x" {{\n  for_each = toset(["0", "1", "2", "3"])\n  {text}\n}}\n')
        (self.code / "main.tf").write_text("".join(blocks))
        rc = self.root / "terraform.rc"
        rc.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{plugins}"\n  }}\n}}\n')
        keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_REGION": "eu-central-1"}
        more = {"AWS_ENDPOINT_URL": endpoint, "TF_CLI_CONFIG_FILE": str(rc), "CHECKPOINT_DISABLE": "1"}
        self.env = keep | keys | more

    def terraform(self, *args, ok=(0,)):
        done = subprocess.run(["terraform", *args], cwd=self.code, env=self.env, capture_output=True, text=True)
        if done.returncode not in ok:
            sys.exit(f"terraform {args}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def apply(self):
        self.terraform("apply", "-auto-approve", "-input=false", "-no-color")

    def resources(self):
        shown = json.loads(self.terraform("show", "-json"))
        return {it["address"]: (it["type"], it["values"]) for it in shown["values"]["root_module"]["resources"]}

    def check(self):
        command = [self.driftlock, "check", "--env", "prod", "--format", "json"]
        done = subprocess.run(command, cwd=self.root, env=self.env, capture_output=True, text=True)
        report = json.loads(done.stdout)
        check = next(it for it in report["checks"] if it["name"] == "terraform_plan")
        if "error" in check:
            sys.exit(f"the check was an error: {check['error']}")
        found = {}
        for finding in check["findings"]:
            address = finding["subject"].split(":", 1)[1]
            found[address] = [it["path"] for it in finding.get("attributes", [])] or [finding["kind"]]
        return found


def is_told(expected, paths):
    if expected is None:
        return paths == ["missing"]
    return any(path == expected or path.startswith((expected + ".", expected + "[")) for path in paths)


def random_changes(place, clients, dice, wanted):
    done = told = invented = 0
    by_kind = {}
    while done < wanted:
        resources = place.resources()
        kinds = {}
        for address, (kind, values) in resources.items():
            kinds.setdefault(kind, []).append((address, values))
        made = {}
        all_ = changes(clients, dice)
        dice.shuffle(all_)
        for kind, attribute, call in all_:
            left = [it for it in kinds[kind] if it[0] not in made]
            # Groups lie in the first network, which must stay.
            if left and len(made) < min(20, wanted - done):
                address, values = dice.choice(left)
                call(values)
                made[address] = (kind, attribute)
        found = place.check()
        for address, (kind, attribute) in made.items():
            is_found = address in found and is_told(attribute, found[address])
            if not is_found:
                print(f"NOT FOUND: {address} {attribute}: {found.get(address)}", flush=True)
            told += is_found
            by_kind.setdefault(kind, [0, 0])
            by_kind[kind][0] += 1
            by_kind[kind][1] += is_found
        others = {address: paths for address, paths in found.items() if address not in made}
        for address, paths in others.items():
            print(f"INVENTED: {address}: {paths}", flush=True)
        invented += len(others)
        done += len(made)
        print(f"{done} changes, {told} found, {invented} invented", flush=True)
        place.apply()
    for kind, (count, found) in sorted(by_kind.items()):
        print(f"{kind}: {found} of {count}")
    return told == done and invented == 0


def cost(place, runs):
    def timed(command, cwd):
        start = time.monotonic()
        subprocess.run(command, cwd=cwd, env=place.env, capture_output=True)
        return time.monotonic() - start

    plans, checks = [], []
    for _ in range(runs):
        plans.append(timed(["terraform", "plan", "-detailed-exitcode", "-input=false", "-no-color"], place.code))
        checks.append(timed([place.driftlock, "check", "--env", "prod"], place.root))
    plan, check = statistics.median(plans), statistics.median(checks)
    print(f"plan -detailed-exitcode {plan:.2f} s, check {check:.2f} s, ratio {check / plan:.2f} (medians of {runs})")
    print(f"plans {[round(it, 2) for it in plans]} checks {[round(it, 2) for it in checks]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--driftlock", required=True)
    parser.add_argument("--plugins", default="/opt/tf-plugins")
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--cost", type=int, default=0, metavar="RUNS")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    moto = pathlib.Path(sys.executable).parent / "moto_server"
    with tempfile.TemporaryDirectory() as dir_:
        server = subprocess.Popen([moto, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            endpoint = f"http://127.0.0.1:{port}"
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test-secret"}
            clients = lambda name: boto3.client(name, "eu-central-1", endpoint_url=endpoint, **keys)  # noqa: E731
            place = Place(dir_, endpoint, args.plugins, str(pathlib.Path(args.driftlock).resolve()))
            place.terraform("init", "-input=false")
            place.apply()
            found = place.check()
            print(f"{len(place.resources())} resources; right after the apply the check finds {found}", flush=True)
            if args.cost:
                cost(place, args.cost)
            good = random_changes(place, clients, random.Random(args.seed), args.changes) if args.changes else True
        finally:
            server.terminate()
            server.wait()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
