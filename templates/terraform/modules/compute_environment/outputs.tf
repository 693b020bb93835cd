output "arn" {
  description = "ARN of the compute environment."
  value       = aws_batch_compute_environment.this.arn
}
