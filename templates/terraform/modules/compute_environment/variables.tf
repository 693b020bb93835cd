variable "name" {
  description = "What the names of the environment, its launch template and its machines start with."
  type        = string
}

variable "instance_type" {
  description = "The one instance type: an image that limits the CPUs fits no other."
  type        = string
}

variable "ami_id" {
  description = "The machine image."
  type        = string
}

variable "ami_type" {
  description = "Batch's name for the family of the image: ECS_AL2023 or ECS_AL2."
  type        = string
}

variable "purchase" {
  description = "EC2 for on-demand machines, SPOT for Spot ones."
  type        = string
}

variable "allocation_strategy" {
  description = "How Batch chooses machines."
  type        = string
}

variable "bid_percentage" {
  description = "Highest Spot price in percent of the on-demand price; null for Batch's default, 100."
  type        = number
  default     = null
}

variable "min_vcpus" {
  description = "vCPUs kept running without jobs, as EC2 counts them."
  type        = number
  default     = 0
}

variable "max_vcpus" {
  description = "Most vCPUs at a time, as EC2 counts them."
  type        = number
}

variable "subnet_ids" {
  description = "Where the machines are placed."
  type        = list(string)
}

variable "security_group_ids" {
  description = "Security groups of the machines and of multi-node containers."
  type        = list(string)
}

variable "placement_group" {
  description = "Cluster placement group; null for none."
  type        = string
  default     = null
}

variable "efa_cards" {
  description = "Indexes of the network cards that get an Elastic Fabric Adapter; none by default."
  type        = list(number)
  default     = []
}

variable "root_volume_gib" {
  description = "Size of the root volume in GiB."
  type        = number
}

variable "key_pair" {
  description = "EC2 key pair for SSH; null for none."
  type        = string
  default     = null
}

variable "instance_profile_arn" {
  description = "Instance profile of the machines."
  type        = string
}

variable "service_role_arn" {
  description = "Role that Batch acts with; null for the service-linked one."
  type        = string
  default     = null
}

variable "spot_fleet_role_arn" {
  description = "Role of the Spot fleet; null where Batch needs none."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of the machines and their volumes, which the provider's default tags do not reach."
  type        = map(string)
}
