# What follows from the pair. The same rules are in crates/control/pair (derive.rs), and a test compares
# both value by value: change one with the other.
#
# Lists are built by `for … if`, never by `condition ? a : b`: a conditional makes its two branches
# one type, and a variable with a value and one with a secret have none in common.

locals {
  standby  = var.dr == "standby"
  in_pair  = var.dr != ""
  own      = var.regions[var.side]
  families = { azure = "AZURE", folder = "LOCAL" }

  # The buckets with their defaults filled in.
  storage = {
    for side, region in var.regions : side => merge(region.storage, {
      family = local.families[region.storage.provider]
      endpoint_base = coalesce(
        region.storage.endpoint_base,
        "https://${coalesce(region.storage.account, "none")}.blob.core.windows.net",
      )
      cluster     = coalesce(region.cluster_name, var.cluster_name)
      account_key = coalesce(region.storage.account_key, { secret = "azure-storage-key", key = "storage-access-key" })
      encryption_key = coalesce(region.storage.encryption_key, {
        secret = "${coalesce(region.cluster_name, var.cluster_name)}-storage-encryption"
        key    = "storage-encryption-key"
      })
    })
  }

  others = { primary = "secondary", secondary = "primary" }

  # Where each storage's keys are: in its own region's cluster (STORAGE) and, as copies, in the other
  # one's (RECOVER_FROM). A copy has the same name, unless that is the name of the other region's own.
  held_keys = {
    for side, storage in local.storage : side => {
      for name in ["account_key", "encryption_key"] : name => {
        STORAGE = storage[name]
        RECOVER_FROM = {
          secret = coalesce(
            storage["${name}_copy"],
            local.storage[local.others[side]][name].secret == storage[name].secret
            ? "${storage[name].secret}-${side}" : storage[name].secret,
          )
          key = storage[name].key
        }
      }
    }
  }

  # The variables of each bucket, as the own one and as the one to recover from.
  bucket_envvars = {
    for side, storage in local.storage : side => {
      for role in ["STORAGE", "RECOVER_FROM"] : role => [
        for each in [
          { in = ["azure", "folder"], var = { name = "${storage.family}_${role}_BUCKET", value = storage.container } },
          { in = ["azure"], var = { name = "${storage.family}_${role}_ACCOUNTNAME", value = storage.account } },
          {
            in = ["azure"]
            var = {
              name      = "${storage.family}_${role}_ACCOUNTKEY"
              valueFrom = { secretKeyRef = { name = local.held_keys[side].account_key[role].secret, key = storage.account_key.key } }
            }
          },
          { in = ["azure"], var = { name = "${storage.family}_${role}_ENDPOINT_BASE", value = storage.endpoint_base } },
          { in = ["folder"], var = { name = "${storage.family}_${role}_PATH", value = storage.path } },
          { in = ["azure", "folder"], var = { name = "${storage.family}_${role}_OBJECT_KEY_PREFIX", value = storage.object_key_prefix } },
          {
            in = storage.encryption_off ? [] : ["azure", "folder"]
            var = {
              name      = "${storage.family}_${role}_ENCRYPTION_KEY"
              valueFrom = { secretKeyRef = { name = local.held_keys[side].encryption_key[role].secret, key = storage.encryption_key.key } }
            }
          },
          {
            in  = storage.encryption_off ? ["azure", "folder"] : []
            var = { name = "${storage.family}_${role}_ENCRYPTION_KEY", value = "off" }
          },
        ] : each.var if contains(each.in, storage.provider)
      ]
    }
  }

  # What each side recovers from: the other one. Never REPLACE_BUCKET, which would swap the
  # container's name but keep the own endpoint, so that the source would answer 403.
  recovery_envvars = {
    for side, source in { primary = "secondary", secondary = "primary" } : side => concat(
      local.bucket_envvars[source]["RECOVER_FROM"],
      [{
        name  = "${local.storage[source].family}_RECOVER_FROM_REPLACE_REGION"
        value = "${var.regions[source].region}/${var.regions[side].region}"
      }],
    )
  }

  dr_common_envvars = [
    for it in [
      { name = "BUCKET_STORAGE_MULTIPLE_ENDPOINTS", value = "true" },
      { name = "ENABLE_ALERTS", value = tostring(var.dr == "active") },
    ] : it if local.in_pair
  ]

  environment_envvars = concat(
    local.bucket_envvars[var.side]["STORAGE"],
    local.dr_common_envvars,
    [for name, value in var.environment : { name = name, value = value }],
  )

  dr_recovery_envvars = [
    for it in local.recovery_envvars[var.side] : it
    if local.standby || (var.dr == "active" && var.dr_keep_recovery_envvars)
  ]

  # Without BUCKET_STORAGE_MULTIPLE_ENDPOINTS: the primary has it already, and the operator refuses
  # a name that is there twice.
  reverse_recovery_envvars = [
    for it in local.recovery_envvars["primary"] : it if var.side == "primary" && var.dr == "active"
  ]

  own_cluster = local.storage[var.side].cluster

  node_pools = [
    for pool in [
      {
        name           = local.own.ui_pool
        node_count     = local.own.ui_node_count
        node_roles     = "httponly"
        disabled_tasks = "digest,storage"
        node_label     = local.own.ui_node_label
      },
      {
        name           = local.own.ingest_pool
        node_count     = local.own.ingest_node_count
        node_roles     = "ingestonly"
        disabled_tasks = "digest,query,storage"
        node_label     = local.own.ingest_node_label
      },
    ] : merge(pool, { node_count = local.standby ? 0 : pool.node_count }) if pool.node_count > 0
  ]

  # A selector for a pool that has no nodes would answer 503 for ever.
  dedicated = var.dr_use_dedicated_routing || !local.in_pair
  selectors = {
    for service, pool in { ui = local.own.ui_pool, ingest = local.own.ingest_pool } : service => (
      !local.dedicated
      ? { "app.kubernetes.io/name" = "humio" }
      : {
        "humio.com/node-pool" = (
          contains([for it in local.node_pools : it.name if it.node_count > 0], pool)
          ? "${local.own_cluster}-${pool}" : local.own_cluster
        )
      }
    )
  }

  secret_keys = concat(
    [
      for side, storage in local.storage :
      local.held_keys[side].encryption_key[side == var.side ? "STORAGE" : "RECOVER_FROM"]
      if !storage.encryption_off && (side == var.side || local.in_pair)
    ],
    [
      for side, storage in local.storage :
      local.held_keys[side].account_key[side == var.side ? "STORAGE" : "RECOVER_FROM"]
      if storage.provider == "azure" && (side == var.side || local.in_pair)
    ],
    [for key in ["tls.crt", "tls.key"] : { secret = var.tls_secret, key = key } if var.tls_secret != null],
  )

  derived = {
    side                      = var.side
    dr                        = var.dr
    dedicated_routing         = var.dr_use_dedicated_routing
    environment               = local.environment_envvars
    recovery                  = local.dr_recovery_envvars
    reverse_recovery          = local.reverse_recovery_envvars
    node_count                = local.standby ? 1 : local.own.digest_node_count
    target_replication_factor = local.standby ? 1 : local.own.replication_factor
    auto_rebalance_partitions = !local.standby
    environment_field         = local.own.environment_field
    node_label                = local.own.digest_node_label
    node_pools                = local.node_pools
    selectors                 = local.selectors
    operator_replicas         = local.standby ? 0 : 1
    kafka_replicas            = local.own.kafka_node_count
    failover_function         = local.standby
    alert_name                = var.dr_failover_alert_name
    resource_group            = local.own.resource_group
    object_key_prefix         = local.own.storage.object_key_prefix
    endpoint = local.in_pair ? {
      name     = coalesce(local.own.endpoint_name, var.side)
      target   = local.own.endpoint_target
      priority = var.side == "primary" ? 1 : 2
    } : null
    timing = {
      health_check_interval        = var.traffic_manager_health_check_interval
      tolerated_failures           = var.traffic_manager_tolerated_failures
      unhealthy_after              = var.traffic_manager_health_check_interval * (var.traffic_manager_tolerated_failures + 1)
      dns_ttl                      = var.traffic_manager_ttl
      pre_failover_failure_seconds = var.dr_failover_function_pre_failover_failure_seconds
      cooldown_seconds             = var.dr_failover_function_cooldown_seconds
    }
    secrets = [
      for name in sort(distinct(local.secret_keys[*].secret)) : {
        name = name
        keys = sort(distinct([for it in local.secret_keys : it.key if it.secret == name]))
      }
    ]
  }
}
