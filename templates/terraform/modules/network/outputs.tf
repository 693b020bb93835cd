output "vpc_id" {
  description = "The VPC."
  value       = local.vpc_id
}

output "vpc_cidrs" {
  description = "IPv4 ranges of the VPC, all that are associated."
  value       = local.vpc_cidrs
}

output "subnets_by_zone" {
  description = "Subnets for the nodes, by availability zone."
  value       = local.subnets_by_zone
}

output "subnet_ids" {
  description = "Subnets for the nodes in all zones."
  value       = flatten([for zone in local.zones : local.subnets_by_zone[zone]])
}

output "first_zone_subnet_ids" {
  description = "Subnets for the nodes in the first zone; a cluster placement group is in one zone."
  value       = local.subnets_by_zone[local.zones[0]]
}

output "node_security_group_id" {
  description = "Security group of the nodes."
  value       = aws_security_group.nodes.id
}
