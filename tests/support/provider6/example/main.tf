terraform {
  required_version = ">= 1.5.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0.0, < 7.0.0"
    }
  }
}

variable "amis" {
  type    = map(string)
  default = {}
}

provider "aws" {
  region                      = "eu-west-1"
  skip_credentials_validation = true
  skip_metadata_api_check     = true

  default_tags {
    tags = { project = "seismic" }
  }
}

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

data "aws_vpc" "this" {
  default = true
}

data "aws_subnets" "this" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.this.id]
  }
}

data "aws_subnet" "this" {
  for_each = toset(data.aws_subnets.this.ids)
  id       = each.value
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

data "aws_ssm_parameter" "ami" {
  name = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
}

resource "aws_iam_role" "instance" {
  name_prefix        = "seismic-"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy_attachment" "instance" {
  role       = aws_iam_role.instance.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
}

resource "aws_iam_instance_profile" "instance" {
  name_prefix = "seismic-"
  role        = aws_iam_role.instance.name
}

resource "aws_security_group" "nodes" {
  name_prefix = "seismic-"
  vpc_id      = data.aws_vpc.this.id
  tags        = { Name = "nodes" }

  ingress {
    from_port = 0
    to_port   = 0
    protocol  = "-1"
    self      = true
  }
}

resource "aws_vpc_security_group_egress_rule" "nodes" {
  security_group_id = aws_security_group.nodes.id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_efs_file_system" "this" {
  encrypted = true

  lifecycle_policy {
    transition_to_ia = "AFTER_30_DAYS"
  }
}

resource "aws_efs_mount_target" "this" {
  for_each        = toset(data.aws_subnets.this.ids)
  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = each.value
  security_groups = [aws_security_group.nodes.id]
}

resource "aws_eip" "nat" {
  domain = "vpc"
}

resource "aws_route_table" "private" {
  vpc_id = data.aws_vpc.this.id

  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = aws_nat_gateway.this.id
  }
}

resource "aws_nat_gateway" "this" {
  allocation_id = aws_eip.nat.id
  subnet_id     = data.aws_subnets.this.ids[0]
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = data.aws_vpc.this.id
  service_name      = "com.amazonaws.${data.aws_region.current.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.private.id]
}

resource "aws_ecr_repository" "this" {
  name                 = "seismic"
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }
}

module "compute_environment" {
  source   = "./modules/compute_environment"
  for_each = var.amis

  name               = each.key
  image_id           = each.value
  instance_role      = aws_iam_instance_profile.instance.arn
  security_group_ids = [aws_security_group.nodes.id]
  subnet_ids         = [for subnet in data.aws_subnet.this : subnet.id if subnet.availability_zone == "eu-west-1a"]
}

resource "aws_batch_job_queue" "this" {
  count    = length(var.amis) > 0 ? 1 : 0
  name     = "seismic"
  state    = "ENABLED"
  priority = 1

  dynamic "compute_environment_order" {
    for_each = values(module.compute_environment)

    content {
      order               = compute_environment_order.key
      compute_environment = compute_environment_order.value.arn
    }
  }

  job_state_time_limit_action {
    action           = "CANCEL"
    max_time_seconds = 3600
    reason           = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    state            = "RUNNABLE"
  }
}

resource "aws_batch_job_definition" "this" {
  name                       = "mpi-example"
  type                       = "multinode"
  deregister_on_new_revision = false

  node_properties = jsonencode({
    mainNode = 0
    numNodes = 2
    nodeRangeProperties = [{
      targetNodes = "0:"
      container   = { image = "${aws_ecr_repository.this.repository_url}:v1" }
    }]
  })

  timeout {
    attempt_duration_seconds = 3600
  }
}

output "assume_role_policy" {
  value = data.aws_iam_policy_document.assume.json
}

output "file_system_dns_name" {
  value = aws_efs_file_system.this.dns_name
}

output "repository_url" {
  value = aws_ecr_repository.this.repository_url
}

output "zones" {
  value = { for id, subnet in data.aws_subnet.this : id => subnet.availability_zone }
}

output "ami" {
  value     = data.aws_ssm_parameter.ami.value
  sensitive = true
}
