output "derived" {
  description = "Everything that follows, in one object: what `backstay derive --output json` prints."
  value       = local.derived
}

# The outputs that the manual's procedures read, by its names.

output "reverse_recovery_envvars" {
  description = "What a failback puts into the primary's spec.environmentVariables. Empty in any workspace but the active primary's."
  value       = local.reverse_recovery_envvars
}

output "AZURE_STORAGE_OBJECT_KEY_PREFIX" {
  description = "The prefix of the region's own objects; snapshots are under <prefix>globalsnapshots/."
  value       = local.own.storage.object_key_prefix
}

output "dr-failover-alert_name" {
  description = "The alert that a failback disables first."
  value       = var.dr_failover_alert_name
}

output "azure-load-balancer-resource-group" {
  description = "The region's resource group."
  value       = local.own.resource_group
}

# What a configuration that makes the cluster takes.

output "environment_variables" {
  description = "What the HumioCluster list environment_field has; each pool has NODE_ROLES and INITIAL_DISABLED_NODE_TASK besides."
  value       = concat(local.environment_envvars, local.dr_recovery_envvars)
}

output "dr_common_envvars" {
  description = "The variables that both roles have."
  value       = local.dr_common_envvars
}

output "dr_recovery_envvars" {
  description = "The *_RECOVER_FROM_* variables of a standby, or of an active region that keeps them; else empty."
  value       = local.dr_recovery_envvars
}

output "node_count" {
  description = "HumioCluster spec.nodeCount."
  value       = local.derived.node_count
}

output "node_pools" {
  description = "The pools beside the cluster's own; without nodes in a standby."
  value       = local.node_pools
}

output "update_strategy" {
  description = "HumioCluster spec.updateStrategy, and that of each pool: one pod at a time, so that a change of the environment takes nothing out of service."
  value       = { type = "RollingUpdate" }
}

output "target_replication_factor" {
  description = "HumioCluster spec.targetReplicationFactor."
  value       = local.derived.target_replication_factor
}

output "ingress_selectors" {
  description = "Selectors of the services for searches (ui) and for events (ingest)."
  value       = local.selectors
}

output "humio_operator_replicas" {
  description = "Replicas of the humio-operator: 0 in a standby."
  value       = local.derived.operator_replicas
}

output "deploy_failover_function" {
  description = "Whether this workspace has the failover function and its alert: count = this ? 1 : 0."
  value       = local.standby
}

output "traffic_manager_endpoint" {
  description = "The region's external endpoint; null for a cluster that has no other."
  value       = local.derived.endpoint
}

output "secrets" {
  description = "Kubernetes secrets, with their keys, that must be there beforehand."
  value       = local.derived.secrets
}
