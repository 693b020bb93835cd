variable "name" {
  description = "Name of the job definition."
  type        = string
}

variable "nodes" {
  description = "Nodes of a multi-node parallel job, which a submission may change; null: a single-node job."
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
  description = "vCPUs of each node, as the ECS agent counts them: cores, where hyper-threading is off."
  type        = number
}

variable "memory_mib" {
  description = "Memory of each node in MiB."
  type        = number
}

variable "shared_memory_mib" {
  description = "Size of /dev/shm in MiB, through which ranks on one node talk."
  type        = number
}

variable "environment" {
  description = "Environment variables."
  type        = map(string)
  default     = {}
}

variable "efs_mount" {
  description = "Where the shared file system is mounted, on the machine and in the container."
  type        = string
}

variable "efa_devices" {
  description = "Elastic Fabric Adapters passed into the container."
  type        = number
  default     = 0
}

variable "attempts" {
  description = "How often the job is tried in all."
  type        = number
}

variable "timeout_seconds" {
  description = "Seconds after which an attempt is ended."
  type        = number
}

variable "job_role_arn" {
  description = "Role that the container runs with."
  type        = string
}

variable "log_group" {
  description = "Log group that takes the job's output."
  type        = string
}

variable "log_region" {
  description = "Region of the log group."
  type        = string
}
