output "name" {
  description = "Name of the job queue."
  value       = aws_batch_job_queue.this.name
}

output "arn" {
  description = "ARN of the job queue."
  value       = aws_batch_job_queue.this.arn
}
