//! Calls of a lab's servers, as a person would make them with `curl`.

use backstay_pair::Side;
use serde_json::Value;

use crate::world::World;

/// A lab's subscription.
pub const SUBSCRIPTION: &str = "/subscriptions/00000000-0000-0000-0000-000000000000";

/// The Resource Manager, as `az` would call it.
pub fn azure(world: &World, method: &str, id: &str, version: &str, body: &str) -> Value {
    let token = std::fs::read_to_string(world.place().arm_token()).unwrap();
    let header = world.lab().join("header.txt");
    std::fs::write(&header, format!("Authorization: Bearer {}", token.trim())).unwrap();
    let data = if body.is_empty() {
        String::new()
    } else {
        format!("-H 'Content-Type: application/json' -d '{body}'")
    };
    let text = world.shell(&format!(
        "curl -sS --fail-with-body -X {method} -H @{} {data} 'http://{}{id}{}api-version={version}'",
        header.display(),
        world.place().arm(),
        if id.contains('?') { '&' } else { '?' },
    ));
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

pub fn ingest(world: &World, side: Side, text: &str) {
    let body = format!(r#"[{{"messages":["{text}"]}}]"#);
    admin(
        world,
        side,
        "/api/v1/repositories/humio/ingest-messages",
        &body,
    );
}

/// A node's HTTP API, as its administrator.
pub fn admin(world: &World, side: Side, path: &str, body: &str) -> String {
    let token = world.admin_token(side);
    let files = [
        ("admin.txt", format!("Authorization: Bearer {token}")),
        ("body.json", body.to_owned()),
    ];
    for (name, content) in &files {
        std::fs::write(world.lab().join(name), content).unwrap();
    }
    let at = |name: &str| world.lab().join(name).display().to_string();
    world.shell(&world.ask(
        side,
        path,
        &format!(
            "--fail-with-body -H @{} -H 'Content-Type: application/json' -d @{}",
            at("admin.txt"),
            at("body.json")
        ),
    ))
}
