//! Fields that a schema does not name.

use serde_json::Value;

use super::{Form, Schema, child};

/// What every document has, whatever its schema says.
const OF_EVERY_DOCUMENT: [&str; 3] = ["apiVersion", "kind", "metadata"];

impl Schema {
    /// Removes what the schema does not name, and adds its places to `unknown`, in their order.
    pub(crate) fn prune(&self, value: &mut Value, unknown: &mut Vec<String>) {
        self.prune_below(value, "", unknown);
    }

    /// As [`prune`](Self::prune), of the root of a custom resource.
    pub(crate) fn prune_document(&self, value: &mut Value, unknown: &mut Vec<String>) {
        self.prune_map(value, "", true, unknown);
        if let Some(metadata) = value.get_mut("metadata")
            && let Some(schema) = super::built_in("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
        {
            schema.prune_below(metadata, "metadata", unknown);
        }
    }

    fn prune_below(&self, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
        let schema = self.resolved();
        match value {
            Value::Object(_) => schema.prune_map(value, path, schema.embedded, unknown),
            Value::Array(list) => {
                if let Some(items) = &schema.items {
                    for (index, item) in list.iter_mut().enumerate() {
                        items.prune_below(item, &format!("{path}[{index}]"), unknown);
                    }
                }
            }
            _ => {}
        }
    }

    fn prune_map(&self, value: &mut Value, path: &str, document: bool, unknown: &mut Vec<String>) {
        let Value::Object(map) = value else { return };
        let free = self.preserve || self.form == Form::Any;
        map.retain(|name, value| {
            if document && OF_EVERY_DOCUMENT.contains(&name.as_str()) {
                return true;
            }
            let place = child(path, name);
            match self.properties.get(name).or(self.values.as_deref()) {
                Some(schema) => schema.prune_below(value, &place, unknown),
                None if free => {}
                None => {
                    unknown.push(place);
                    return false;
                }
            }
            true
        });
    }
}
