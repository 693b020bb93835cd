terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0.0, < 7.0.0"
    }
  }
}

variable "name" {
  type = string
}

variable "image_id" {
  type = string
}

variable "instance_role" {
  type = string
}

variable "security_group_ids" {
  type = list(string)
}

variable "subnet_ids" {
  type = list(string)
}

resource "aws_placement_group" "this" {
  name     = var.name
  strategy = "cluster"
}

resource "aws_launch_template" "this" {
  name_prefix            = "${var.name}-"
  update_default_version = true

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size = 100
      volume_type = "gp3"
      encrypted   = true
    }
  }

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }
}

resource "aws_batch_compute_environment" "this" {
  name_prefix = "${var.name}-"
  type        = "MANAGED"

  compute_resources {
    type                = "EC2"
    allocation_strategy = "BEST_FIT_PROGRESSIVE"
    instance_role       = var.instance_role
    instance_type       = ["r5.24xlarge"]
    max_vcpus           = 192
    min_vcpus           = 0
    placement_group     = aws_placement_group.this.name
    security_group_ids  = var.security_group_ids
    subnets             = var.subnet_ids

    ec2_configuration {
      image_type        = "ECS_AL2023"
      image_id_override = var.image_id
    }

    launch_template {
      launch_template_id = aws_launch_template.this.id
      version            = aws_launch_template.this.latest_version
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

output "arn" {
  value = aws_batch_compute_environment.this.arn
}
