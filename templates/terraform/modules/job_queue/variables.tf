variable "name" {
  description = "Name of the job queue."
  type        = string
}

variable "priority" {
  description = "Queues with a higher number are served first."
  type        = number
}

variable "enabled" {
  description = "Whether the queue accepts new jobs."
  type        = bool
  default     = true
}

variable "compute_environment_arns" {
  description = "Compute environments, in the order in which AWS Batch tries them."
  type        = list(string)
}

variable "cancel_without_capacity_after" {
  description = "Seconds after which the job at the queue's head is cancelled if EC2 has no capacity; null: it waits."
  type        = number
  default     = null
}

variable "cancel_misconfigured_after" {
  description = "Seconds after which the job at the queue's head is cancelled if no environment can ever run it; null: it waits."
  type        = number
  default     = null
}
