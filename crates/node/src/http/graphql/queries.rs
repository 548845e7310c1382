//! What can be asked.

use async_graphql::{Context, Error, ErrorExtensions, Object, Result};

use super::change::{ChangeError, global};
use super::input::DynamicConfig;
use super::types::{DynamicConfigValue, IngestToken, Meta, Repository, SearchDomain, User};

/// What is asked of repositories, users and settings.
pub(super) struct Basics;

#[Object(name = "BasicQueries")]
impl Basics {
    /// About this program.
    async fn meta(&self) -> Meta {
        Meta {
            version: crate::VERSION,
        }
    }

    /// The repositories and views, by name.
    async fn search_domains(&self, context: &Context<'_>) -> Result<Vec<SearchDomain>> {
        Ok(global(context)?.read(SearchDomain::all))
    }

    /// A repository or view.
    async fn search_domain(&self, context: &Context<'_>, name: String) -> Result<SearchDomain> {
        let all = global(context)?.read(SearchDomain::all);
        let found = all.into_iter().find(|it| it.name_of() == name);
        found.ok_or_else(|| not_found(format!("there is no repository or view {name:?}")))
    }

    /// The repositories, by name.
    async fn repositories(&self, context: &Context<'_>) -> Result<Vec<Repository>> {
        let mut all: Vec<Repository> = global(context)?.read(|state| {
            let all = state.repositories.iter();
            all.map(|it| Repository::of(state, it)).collect()
        });
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// A repository.
    async fn repository(&self, context: &Context<'_>, name: String) -> Result<Repository> {
        let found = global(context)?.read(|state| {
            let found = state.repository_named(&name);
            found.map(|it| Repository::of(state, it))
        });
        found.ok_or_else(|| not_found(format!("there is no repository {name:?}")))
    }

    /// The ingest tokens of a repository, or of all; without the tokens themselves.
    async fn ingest_tokens(
        &self,
        context: &Context<'_>,
        repository_name: Option<String>,
    ) -> Result<Vec<IngestToken>> {
        let Some(name) = repository_name else {
            return Ok(global(context)?.read(|state| {
                let all = state.ingest_tokens.iter();
                all.map(IngestToken::from).collect()
            }));
        };
        Ok(self.repository(context, name).await?.ingest_tokens)
    }

    /// The users, by name.
    async fn users(&self, context: &Context<'_>, search: Option<String>) -> Result<Vec<User>> {
        let wanted = search.unwrap_or_default().to_lowercase();
        let mut all: Vec<User> =
            global(context)?.read(|state| state.users.iter().map(User::from).collect());
        all.retain(|user| user.username.to_lowercase().contains(&wanted));
        all.sort_by(|a, b| a.username.cmp(&b.username));
        Ok(all)
    }

    /// The dynamic configuration that holds, defaults too.
    async fn dynamic_configs(&self, context: &Context<'_>) -> Result<Vec<DynamicConfigValue>> {
        Ok(global(context)?.read(|state| {
            let all = DynamicConfig::ALL.iter();
            all.map(|config| DynamicConfigValue {
                dynamic_config_key: config.name().to_owned(),
                dynamic_config_value: state
                    .dynamic(config.name())
                    .unwrap_or(config.default_value())
                    .to_owned(),
            })
            .collect()
        }))
    }

    /// One value of the dynamic configuration.
    async fn dynamic_config(
        &self,
        context: &Context<'_>,
        dynamic_config: DynamicConfig,
    ) -> Result<String> {
        Ok(global(context)?.read(|state| {
            let set = state.dynamic(dynamic_config.name());
            set.unwrap_or(dynamic_config.default_value()).to_owned()
        }))
    }
}

fn not_found(text: String) -> Error {
    ChangeError::NotFound(text).extend()
}
