#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

/// What GraphQL tools ask first.
const INTROSPECTION: &str = "
query { __schema { queryType { name } mutationType { name }
  types { kind name description
    fields(includeDeprecated: true) { name args { name type { ...T } defaultValue } type { ...T } }
    inputFields { name type { ...T } defaultValue }
    interfaces { ...T } enumValues(includeDeprecated: true) { name } possibleTypes { ...T } }
  directives { name locations args { name type { ...T } } } } }
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name
  ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } }";

async fn errors(query: &str) -> String {
    let answer = schema().execute(query).await;
    let errors = answer.errors.iter().map(|error| error.message.clone());
    errors.collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn tools_can_learn_the_schema() {
    assert_eq!(errors(INTROSPECTION).await, "");
}

#[tokio::test]
async fn what_is_too_deep_or_too_much_is_refused() {
    let deep = format!(
        "{{ __schema {{ types {{ fields {{ type {}{{ name }}{} }} }} }} }}",
        "{ ofType ".repeat(MAX_DEPTH),
        " }".repeat(MAX_DEPTH)
    );
    assert!(errors(&deep).await.contains("deep"));
    let many: String = (0..=MAX_COMPLEXITY)
        .map(|n| format!("m{n}: meta {{ version }} "))
        .collect();
    assert!(errors(&format!("{{ {many} }}")).await.contains("complex"));
    assert_eq!(errors("{ meta { version } }").await, "");
}

#[test]
fn the_names_are_those_of_logscale() {
    let sdl = schema().sdl();
    for line in [
        "createRepository(name: String!, description: String): CreateRepositoryMutation!",
        "addIngestTokenV3(input: AddIngestTokenV3Input!): IngestToken!",
        "removeIngestToken(repositoryName: String!, name: String!): BooleanResultType!",
        "setDynamicConfig(input: DynamicConfigInputObject!): Boolean!",
        "unsetDynamicConfig(input: UnsetDynamicConfigInputObject!): Boolean!",
        "addUserV2(input: AddUserInputV2!): UserOrPendingUser!",
        "removeUser(input: RemoveUserInput!): RemoveUserMutation!",
        "searchDomains: [SearchDomain!]!",
        "repository(name: String!): Repository!",
        "dynamicConfigs: [DynamicConfigKeyValueType!]!",
        "FlushSegmentsAndGlobalOnShutdown",
    ] {
        assert!(sdl.contains(line), "{line} in\n{sdl}");
    }
}

#[test]
fn the_parsers_that_are_named_exist() {
    for name in types::BUILT_IN_PARSERS {
        assert!(backstay_ingest::parse::is_known(name), "{name}");
    }
}
