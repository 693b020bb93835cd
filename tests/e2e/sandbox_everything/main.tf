terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.100" }
  }
}
variable "max_vcpus" { default = 192 }
variable "suffix" { default = "a" }
provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = false
  default_tags { tags = { project = "seismic" } }
}
data "aws_caller_identity" "me" {}
data "aws_region" "here" {}
data "aws_availability_zones" "zones" { state = "available" }
data "aws_vpc" "default" { default = true }
data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}
data "aws_subnet" "default" {
  for_each = toset(data.aws_subnets.default.ids)
  id       = each.value
}
data "aws_ssm_parameter" "ami" { name = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id" }
data "aws_ami" "ecs" {
  filter {
    name   = "image-id"
    values = [nonsensitive(data.aws_ssm_parameter.ami.value)]
  }
  owners = ["amazon"]
}
data "aws_ec2_instance_type" "r5" { instance_type = "r5.24xlarge" }

resource "aws_vpc" "this" {
  cidr_block           = "10.20.0.0/16"
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = "seismic" }
}
resource "aws_subnet" "public" {
  vpc_id                  = aws_vpc.this.id
  cidr_block              = "10.20.0.0/24"
  availability_zone       = data.aws_availability_zones.zones.names[0]
  map_public_ip_on_launch = true
}
resource "aws_subnet" "private" {
  count             = 2
  vpc_id            = aws_vpc.this.id
  cidr_block        = cidrsubnet("10.20.0.0/16", 4, count.index + 1)
  availability_zone = data.aws_availability_zones.zones.names[count.index]
}
resource "aws_internet_gateway" "this" { vpc_id = aws_vpc.this.id }
resource "aws_eip" "nat" { domain = "vpc" }
resource "aws_nat_gateway" "this" {
  allocation_id = aws_eip.nat.id
  subnet_id     = aws_subnet.public.id
  depends_on    = [aws_internet_gateway.this]
}
resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
}
resource "aws_route" "public" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}
resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id
  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = aws_nat_gateway.this.id
  }
}
resource "aws_route_table_association" "public" {
  subnet_id      = aws_subnet.public.id
  route_table_id = aws_route_table.public.id
}
resource "aws_route_table_association" "private" {
  count          = 2
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private.id
}
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.us-east-1.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.private.id]
}
resource "aws_vpc_endpoint" "interface" {
  for_each            = toset(["ecr.api", "ecr.dkr", "logs", "ecs", "ecs-agent", "ecs-telemetry"])
  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.us-east-1.${each.value}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = aws_subnet.private[*].id
  security_group_ids  = [aws_security_group.nodes.id]
}
resource "aws_security_group" "nodes" {
  name_prefix = "seismic-nodes-"
  description = "nodes"
  vpc_id      = aws_vpc.this.id
  lifecycle { create_before_destroy = true }
}
resource "aws_vpc_security_group_ingress_rule" "self" {
  security_group_id            = aws_security_group.nodes.id
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "-1"
  description                  = "each other"
}
resource "aws_vpc_security_group_egress_rule" "self" {
  security_group_id            = aws_security_group.nodes.id
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "-1"
}
resource "aws_vpc_security_group_egress_rule" "out" {
  security_group_id = aws_security_group.nodes.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}
resource "aws_vpc_security_group_ingress_rule" "ssh" {
  security_group_id = aws_security_group.nodes.id
  cidr_ipv4         = "10.0.0.0/8"
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
}
resource "aws_security_group" "efs" {
  name_prefix = "seismic-efs-"
  vpc_id      = aws_vpc.this.id
}
resource "aws_vpc_security_group_ingress_rule" "nfs" {
  security_group_id            = aws_security_group.efs.id
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
}
resource "aws_efs_file_system" "this" {
  encrypted        = true
  throughput_mode  = "elastic"
  performance_mode = "generalPurpose"
  lifecycle_policy { transition_to_ia = "AFTER_30_DAYS" }
  tags = { Name = "seismic" }
}
resource "aws_efs_backup_policy" "this" {
  file_system_id = aws_efs_file_system.this.id
  backup_policy { status = "ENABLED" }
}
resource "aws_efs_mount_target" "this" {
  count           = 2
  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = aws_subnet.private[count.index].id
  security_groups = [aws_security_group.efs.id]
}
resource "aws_efs_file_system_policy" "this" {
  file_system_id = aws_efs_file_system.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Deny", Principal = { AWS = "*" }, Action = "*", Resource = aws_efs_file_system.this.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
data "aws_iam_policy_document" "ec2" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}
resource "aws_iam_role" "instance" {
  name_prefix        = "seismic-instance-"
  assume_role_policy = data.aws_iam_policy_document.ec2.json
}
resource "aws_iam_role_policy_attachment" "instance" {
  role       = aws_iam_role.instance.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
}
resource "aws_iam_role_policy" "instance" {
  name_prefix = "efs-"
  role        = aws_iam_role.instance.id
  policy      = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = ["elasticfilesystem:ClientMount"], Resource = aws_efs_file_system.this.arn }] })
}
resource "aws_iam_policy" "extra" {
  name_prefix = "seismic-extra-"
  policy      = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = ["s3:ListBucket"], Resource = "*" }] })
}
resource "aws_iam_instance_profile" "instance" {
  name_prefix = "seismic-instance-"
  role        = aws_iam_role.instance.name
}
resource "aws_ecr_repository" "this" {
  name                 = "aws_multi_node_batch"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true
  image_scanning_configuration { scan_on_push = true }
  encryption_configuration { encryption_type = "AES256" }
}
resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name
  policy     = jsonencode({ rules = [{ rulePriority = 1, description = "old", selection = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }, action = { type = "expire" } }] })
}
resource "aws_cloudwatch_log_group" "this" {
  name              = "/mngen/seismic"
  retention_in_days = 30
}
resource "aws_placement_group" "this" {
  name     = "seismic-MPIgroup-${var.suffix}"
  strategy = "cluster"
  lifecycle { create_before_destroy = true }
}
resource "aws_launch_template" "this" {
  name_prefix            = "seismic-r5-"
  update_default_version = true
  user_data              = base64encode("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"B\"\n\n--B--\n${var.suffix}\n")
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      encrypted             = true
      volume_size           = 60
      volume_type           = "gp3"
      delete_on_termination = true
    }
  }
  monitoring { enabled = true }
  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "seismic-r5" }
  }
  tag_specifications {
    resource_type = "volume"
    tags          = { Name = "seismic-r5" }
  }
  lifecycle { create_before_destroy = true }
}
resource "aws_launch_template" "efa" {
  name_prefix = "seismic-c5n-"
  network_interfaces {
    device_index                = 0
    network_card_index          = 0
    interface_type              = "efa"
    delete_on_termination       = true
    associate_public_ip_address = "false"
    security_groups             = [aws_security_group.nodes.id]
  }
}
resource "aws_batch_compute_environment" "od" {
  compute_environment_name_prefix = "seismic-r5-"
  type                            = "MANAGED"
  state                           = "ENABLED"
  compute_resources {
    type                = "EC2"
    allocation_strategy = "BEST_FIT_PROGRESSIVE"
    min_vcpus           = 0
    max_vcpus           = var.max_vcpus
    instance_type       = ["r5.24xlarge"]
    instance_role       = aws_iam_instance_profile.instance.arn
    subnets             = [aws_subnet.private[0].id]
    security_group_ids  = [aws_security_group.nodes.id]
    placement_group     = aws_placement_group.this.name
    ec2_configuration {
      image_type        = "ECS_AL2023"
      image_id_override = data.aws_ami.ecs.id
    }
    launch_template {
      launch_template_id = aws_launch_template.this.id
      version            = aws_launch_template.this.latest_version
    }
    tags = { Name = "seismic-r5" }
  }
  update_policy {
    job_execution_timeout_minutes = 30
    terminate_jobs_on_update      = false
  }
  tags = { Environment = "r5" }
  lifecycle { create_before_destroy = true }
}
resource "aws_batch_compute_environment" "spot" {
  compute_environment_name_prefix = "seismic-m4-"
  type                            = "MANAGED"
  compute_resources {
    type                = "SPOT"
    allocation_strategy = "SPOT_PRICE_CAPACITY_OPTIMIZED"
    bid_percentage      = 100
    min_vcpus           = 0
    max_vcpus           = 8
    instance_type       = ["m4.large", "m4.xlarge"]
    instance_role       = aws_iam_instance_profile.instance.arn
    subnets             = aws_subnet.private[*].id
    security_group_ids  = [aws_security_group.nodes.id]
    ec2_configuration {
      image_type = "ECS_AL2023"
    }
  }
  lifecycle { create_before_destroy = true }
}
resource "aws_batch_job_queue" "this" {
  name     = "MultiNodeQueue_R5_MAX_24"
  state    = "ENABLED"
  priority = 10
  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.od.arn
  }
  job_state_time_limit_action {
    action           = "CANCEL"
    max_time_seconds = 3600
    reason           = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    state            = "RUNNABLE"
  }
  job_state_time_limit_action {
    action           = "CANCEL"
    max_time_seconds = 7200
    reason           = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    state            = "RUNNABLE"
  }
  tags = { Queue = "r5" }
}
resource "aws_batch_job_queue" "spot" {
  name     = "M4_SPOT_MAXCPU_8"
  state    = "ENABLED"
  priority = 1
  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.spot.arn
  }
}
resource "aws_batch_job_definition" "mnp" {
  name = "mpi-example"
  type = "multinode"
  node_properties = jsonencode({
    mainNode = 0
    numNodes = 2
    nodeRangeProperties = [{
      targetNodes = "0:"
      container = {
        image                = "${aws_ecr_repository.this.repository_url}:v1.1"
        command              = ["python3", "/efs/mpi_example.py"]
        environment          = [{ name = "A", value = "b" }]
        resourceRequirements = [{ type = "VCPU", value = "24" }, { type = "MEMORY", value = "380000" }]
        mountPoints          = [{ containerPath = "/efs", sourceVolume = "efs", readOnly = false }]
        volumes              = [{ name = "efs", host = { sourcePath = "/efs" } }]
        ulimits              = [{ name = "memlock", softLimit = -1, hardLimit = -1 }]
        privileged           = false
        linuxParameters      = { sharedMemorySize = 4096, devices = [{ hostPath = "/dev/infiniband/uverbs0", containerPath = "/dev/infiniband/uverbs0", permissions = ["READ", "WRITE", "MKNOD"] }] }
        logConfiguration     = { logDriver = "awslogs", options = { "awslogs-group" = aws_cloudwatch_log_group.this.name } }
        jobRoleArn           = aws_iam_role.instance.arn
      }
    }]
  })
  retry_strategy {
    attempts = 2
    evaluate_on_exit {
      action           = "retry"
      on_status_reason = "Host EC2*"
    }
    evaluate_on_exit {
      action    = "exit"
      on_reason = "*"
    }
  }
  timeout { attempt_duration_seconds = 86400 }
  propagate_tags             = true
  deregister_on_new_revision = false
  tags                       = { Job = "mpi-example" }
}
resource "aws_batch_job_definition" "single" {
  name                  = "single"
  type                  = "container"
  platform_capabilities = ["EC2"]
  container_properties = jsonencode({
    image                = "public.ecr.aws/docker/library/busybox:latest"
    command              = ["echo", "hello"]
    resourceRequirements = [{ type = "VCPU", value = "1" }, { type = "MEMORY", value = "512" }]
  })
  timeout { attempt_duration_seconds = 600 }
  retry_strategy { attempts = 1 }
  deregister_on_new_revision = false
}
resource "aws_key_pair" "this" {
  key_name_prefix = "seismic-"
  public_key      = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5NpXkqPkVqK4RLDuhyvPM0JvPM6LrHxLkWTzNB0Yk5 x"
}
resource "aws_kms_key" "this" {
  description = "x"
}
output "zones" { value = data.aws_subnet.default[data.aws_subnets.default.ids[0]].availability_zone }
