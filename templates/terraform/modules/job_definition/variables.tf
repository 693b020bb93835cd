variable "name" {
  description = "Name of the job definition."
  type        = string
}

variable "nodes" {
  description = "Nodes of a multi-node parallel job, which a submission can change; null: a single-node job."
  type        = number
  default     = null
}

variable "image" {
  description = "Container image, with its tag or digest."
  type        = string
}

variable "command" {
  description = "Program and arguments."
  type        = list(string)
}

variable "vcpus" {
  description = "vCPUs of each node, as the ECS agent counts them: cores, if hyper-threading is off."
  type        = number
}

variable "memory_mib" {
  description = "Memory of each node in MiB."
  type        = number
}

variable "shared_memory_mib" {
  description = "Size of /dev/shm in MiB, through which ranks on one node communicate."
  type        = number
}

variable "environment" {
  description = "Environment variables."
  type        = map(string)
  default     = {}
}

variable "efs_mount" {
  description = "Mount point of the shared file system, on the instance and in the container."
  type        = string
}

variable "efa_devices" {
  description = "Elastic Fabric Adapters passed into the container."
  type        = number
  default     = 0
}

variable "attempts" {
  description = "Number of attempts, the first one included."
  type        = number
}

variable "timeout_seconds" {
  description = "Seconds after which AWS Batch stops an attempt."
  type        = number
}

variable "job_role_arn" {
  description = "Role that the container runs with."
  type        = string
}

variable "log_group" {
  description = "Log group of the job's output."
  type        = string
}

variable "log_region" {
  description = "Region of the log group."
  type        = string
}
