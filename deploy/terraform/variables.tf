# Every variable that the manual names has its name here. `Pair::terraform_variables` writes them
# from a backstay.toml, with all defaults filled in.

variable "side" {
  description = "Which region this workspace is: primary or secondary."
  type        = string

  validation {
    condition     = contains(["primary", "secondary"], var.side)
    error_message = "side must be primary or secondary."
  }
}

variable "dr" {
  description = "The region's role: active, standby, or empty for a cluster that has no other."
  type        = string
  default     = ""

  validation {
    condition     = contains(["active", "standby", ""], var.dr)
    error_message = "dr must be active, standby or empty."
  }
}

variable "dr_use_dedicated_routing" {
  description = "Services select the UI and ingest pools (true), or any pod (false). A promotion begins with false and ends with true."
  type        = bool
  default     = true
}

variable "dr_keep_recovery_envvars" {
  description = "An active region that once recovered from the other one keeps the variables for it: it reads its history with them. True for a promoted secondary, and for a primary after a failback with reverse recovery."
  type        = bool
  default     = false
}

variable "cluster_name" {
  description = "The HumioCluster's name, in each region that has no cluster_name of its own."
  type        = string
  default     = "logscale"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", var.cluster_name))
    error_message = "cluster_name has at most 40 lower-case letters, digits and hyphens, begins with a letter and ends with a letter or digit."
  }
}

variable "tls_secret" {
  description = "The Kubernetes secret with the certificate for the global name; null for no HTTPS."
  type        = string
  default     = null
}

variable "environment" {
  description = "Further variables for every node. Those that are derived here may not be among them."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for name in keys(var.environment) :
      !contains(["BUCKET_STORAGE_MULTIPLE_ENDPOINTS", "ENABLE_ALERTS", "INITIAL_DISABLED_NODE_TASK", "NODE_ROLES"], name) &&
      !can(regex("^(AZURE|S3|GCP|LOCAL)_(STORAGE|RECOVER_FROM)_", name))
    ])
    error_message = "environment has a variable that is derived; the operator refuses a name that is there twice. Remove it."
  }
}

variable "regions" {
  description = "The two regions, `primary` (active in peace) and `secondary`; the same in both workspaces."
  type = map(object({
    cluster_name      = optional(string) # by default var.cluster_name
    environment_field = optional(string, "commonEnvironmentVariables")
    digest_node_label = optional(object({ key = string, value = string }), { key = "k8s-app", value = "logscale-digest" })
    ui_pool           = optional(string, "ui")
    ui_node_label     = optional(object({ key = string, value = string }), { key = "k8s-app", value = "logscale-ui" })
    ingest_pool       = optional(string, "ingest-only")
    ingest_node_label = optional(object({ key = string, value = string }), { key = "k8s-app", value = "logscale-ingest" })
    region            = string
    resource_group    = string
    endpoint_name     = optional(string) # by default the side
    endpoint_target   = string
    storage = object({
      provider          = optional(string, "azure")
      account           = optional(string)
      container         = string
      endpoint_base     = optional(string) # by default the account's public one
      path              = optional(string) # of a folder
      object_key_prefix = optional(string, "")
      # By default the vendor's: azure-storage-key and <cluster_name>-storage-encryption.
      account_key    = optional(object({ secret = string, key = string }))
      encryption_key = optional(object({ secret = string, key = string }))
      # Secrets with the same keys in the other region's cluster, which reads this storage.
      account_key_copy    = optional(string)
      encryption_key_copy = optional(string)
      encryption_off      = optional(bool, false) # for a real LogScale only
    })
    digest_node_count  = number
    ui_node_count      = number
    ingest_node_count  = number
    kafka_node_count   = number
    replication_factor = number
  }))

  validation {
    condition     = toset(keys(var.regions)) == toset(["primary", "secondary"])
    error_message = "regions must have primary and secondary, and nothing else."
  }
  validation {
    condition     = length(distinct([for it in var.regions : it.region])) == length(var.regions)
    error_message = "Both regions have the same region; a pair has two."
  }
  validation {
    condition = alltrue([
      for it in var.regions :
      contains(["commonEnvironmentVariables", "environmentVariables"], it.environment_field)
    ])
    error_message = "environment_field must be commonEnvironmentVariables or environmentVariables."
  }
  validation {
    condition     = alltrue([for it in var.regions : contains(["azure", "folder"], it.storage.provider)])
    error_message = "storage.provider must be azure or folder."
  }
  validation {
    condition     = length(distinct([for it in var.regions : it.storage.provider])) == 1
    error_message = "Both regions must have buckets of one kind: storage.provider differs."
  }
  validation {
    condition     = alltrue([for it in var.regions : it.storage.account != null || it.storage.provider != "azure"])
    error_message = "storage.account is missing; set it to the storage account's name."
  }
  validation {
    condition     = alltrue([for it in var.regions : it.storage.path != null || it.storage.provider != "folder"])
    error_message = "storage.path is missing; set it to the folder."
  }
  validation {
    # In one place, each would read and delete the other's objects.
    condition = alltrue(flatten([
      for side, one in var.regions : [
        for other_side, other in var.regions : side == other_side ||
        !startswith(one.storage.object_key_prefix, other.storage.object_key_prefix) ||
        jsonencode([one.storage.account, one.storage.path]) != jsonencode([other.storage.account, other.storage.path]) ||
        (one.storage.provider == "azure" && one.storage.container != other.storage.container)
      ]
    ]))
    error_message = "Both regions have one container or folder, and one's object_key_prefix begins with the other's; give each its own."
  }
}

variable "dr_failover_alert_name" {
  description = "The alert that wakes the failover function."
  type        = string
  default     = "dr-failover-alert"
}

variable "traffic_manager_health_check_interval" {
  description = "Seconds between two probes."
  type        = number
  default     = 30
}

variable "traffic_manager_tolerated_failures" {
  description = "Failures in a row that do not count yet."
  type        = number
  default     = 3
}

variable "traffic_manager_ttl" {
  description = "Seconds for which a resolver may keep an answer."
  type        = number
  default     = 60
}

variable "dr_failover_function_pre_failover_failure_seconds" {
  description = "The holdoff: seconds of failure in a row before the function acts."
  type        = number
  default     = 180
}

variable "dr_failover_function_cooldown_seconds" {
  description = "Seconds after a failover in which there is no other."
  type        = number
  default     = 300
}
