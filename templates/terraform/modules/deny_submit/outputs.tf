output "action_id" {
  description = "ID of the action of the budget."
  value       = aws_budgets_budget_action.this.action_id
}

output "policy_arn" {
  description = "The policy that denies submissions."
  value       = local.policy_arn
}
