//! What can be changed.

use async_graphql::{Context, ErrorExtensions, Object, Result};
use backstay_global as state;
use backstay_global::{Event, GlobalLog, Reject, State};
use backstay_ingest::parse;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

use super::change::{ChangeError, change, global};
use super::input::{
    self, AddIngestToken, AddUser, RemoveUser, RemoveUserById, SetDynamicConfig, UnsetDynamicConfig,
};
use super::types::{
    BUILT_IN_PARSERS, BooleanResultType, CreateRepositoryMutation, IngestToken, Parser,
    RemoveUserMutation, Repository, User, UserOrPendingUser,
};
use crate::engine::view::token_hash;

/// What is changed of repositories, tokens, users and settings.
pub(super) struct Basics;

#[Object(name = "BasicMutations")]
impl Basics {
    /// Makes a repository.
    async fn create_repository(
        &self,
        context: &Context<'_>,
        name: String,
        description: Option<String>,
    ) -> Result<CreateRepositoryMutation> {
        let repository = create_repository(global(context)?, name, description)
            .await
            .map_err(|error| error.extend())?;
        Ok(CreateRepositoryMutation { repository })
    }

    /// Makes an ingest token. It is in the answer, and nowhere else after that.
    #[graphql(name = "addIngestTokenV3")]
    async fn add_ingest_token(
        &self,
        context: &Context<'_>,
        input: AddIngestToken,
    ) -> Result<IngestToken> {
        add_ingest_token(global(context)?, input)
            .await
            .map_err(|error| error.extend())
    }

    /// Makes an ingest token worthless.
    async fn remove_ingest_token(
        &self,
        context: &Context<'_>,
        repository_name: String,
        name: String,
    ) -> Result<BooleanResultType> {
        remove_ingest_token(global(context)?, &repository_name, &name)
            .await
            .map_err(|error| error.extend())?;
        Ok(BooleanResultType::DONE)
    }

    /// Sets a dynamic configuration.
    async fn set_dynamic_config(
        &self,
        context: &Context<'_>,
        input: SetDynamicConfig,
    ) -> Result<bool> {
        let value = input.config.checked(&input.value);
        let value = value.map_err(|error| error.extend())?;
        configure(global(context)?, input.config.name(), Some(value))
            .await
            .map_err(|error| error.extend())?;
        Ok(true)
    }

    /// Gives a dynamic configuration its default.
    async fn unset_dynamic_config(
        &self,
        context: &Context<'_>,
        input: UnsetDynamicConfig,
    ) -> Result<bool> {
        configure(global(context)?, input.config.name(), None)
            .await
            .map_err(|error| error.extend())?;
        Ok(true)
    }

    /// Makes a user.
    #[graphql(name = "addUserV2")]
    async fn add_user(&self, context: &Context<'_>, input: AddUser) -> Result<UserOrPendingUser> {
        let user = add_user(global(context)?, input)
            .await
            .map_err(|error| error.extend())?;
        Ok(UserOrPendingUser::User(User::from(&user)))
    }

    /// Removes a user.
    async fn remove_user(
        &self,
        context: &Context<'_>,
        input: RemoveUser,
    ) -> Result<RemoveUserMutation> {
        let user = remove_user(global(context)?, |user| user.username == input.username)
            .await
            .map_err(|error| error.extend())?;
        Ok(RemoveUserMutation {
            user: User::from(&user),
        })
    }

    /// Removes a user.
    async fn remove_user_by_id(
        &self,
        context: &Context<'_>,
        input: RemoveUserById,
    ) -> Result<RemoveUserMutation> {
        let user = remove_user(global(context)?, |user| user.id == input.id)
            .await
            .map_err(|error| error.extend())?;
        Ok(RemoveUserMutation {
            user: User::from(&user),
        })
    }
}

async fn create_repository(
    global: &GlobalLog,
    name: String,
    description: Option<String>,
) -> Result<Repository, ChangeError> {
    input::repository_name(&name)?;
    let repository = state::Repository {
        id: Uuid::new_v4().simple().to_string().into(),
        name,
        description,
        retention_days: None,
        retention_bytes: None,
        created_ms: chrono::Utc::now().timestamp_millis(),
        extra: state::Extra::default(),
    };
    change(global, |_| {
        Ok(vec![Event::RepositoryCreated {
            repository: repository.clone(),
        }])
    })
    .await?;
    Ok(global.read(|state| Repository::of(state, &repository)))
}

async fn add_ingest_token(
    global: &GlobalLog,
    input: AddIngestToken,
) -> Result<IngestToken, ChangeError> {
    input::name("an ingest token", &input.name)?;
    if let Some(parser) = &input.parser {
        known_parser(parser)?;
    }
    let secret = new_token()?;
    let (id, created_ms) = (new_id(), chrono::Utc::now().timestamp_millis());
    let hash = token_hash(&secret);
    change(global, |state| {
        let repository = repository(state, &input.repository_name)?;
        Ok(vec![Event::IngestTokenAdded {
            token: state::IngestToken {
                id: id.clone(),
                name: input.name.clone(),
                token_hash: hash.clone(),
                repository: repository.id.clone(),
                parser: input.parser.clone(),
                created_ms,
                extra: state::Extra::default(),
            },
        }])
    })
    .await?;
    Ok(IngestToken {
        name: input.name,
        token: Some(secret),
        parser: input.parser.as_deref().map(Parser::named),
    })
}

async fn remove_ingest_token(
    global: &GlobalLog,
    repository_name: &str,
    name: &str,
) -> Result<(), ChangeError> {
    change(global, |state| {
        let repository = repository(state, repository_name)?;
        let mut tokens = state.ingest_tokens.iter();
        let token = tokens
            .find(|token| token.repository == repository.id && token.name == name)
            .ok_or_else(|| {
                Reject::new(format!(
                    "repository {repository_name:?} has no ingest token named {name:?}"
                ))
            })?;
        Ok(vec![Event::IngestTokenRevoked {
            id: token.id.clone(),
        }])
    })
    .await
}

async fn configure(
    global: &GlobalLog,
    name: &str,
    value: Option<String>,
) -> Result<(), ChangeError> {
    change(global, |state| {
        if state.dynamic(name) == value.as_deref() {
            return Ok(Vec::new());
        }
        Ok(vec![Event::DynamicConfigSet {
            name: name.to_owned(),
            value: value.clone(),
        }])
    })
    .await
}

/// Makes a user, who must be new.
pub(super) async fn add_user(
    global: &GlobalLog,
    input: AddUser,
) -> Result<state::User, ChangeError> {
    input::name("a user", &input.username)?;
    let user = state::User {
        id: new_id(),
        username: input.username,
        full_name: input.full_name,
        is_root: input.is_root.unwrap_or(false),
        api_token_hash: None,
        extra: state::Extra::default(),
    };
    change(global, |_| Ok(vec![Event::UserSet { user: user.clone() }])).await?;
    Ok(user)
}

/// Removes the user whom `which` knows; answers with who it was.
pub(super) async fn remove_user(
    global: &GlobalLog,
    which: impl Fn(&state::User) -> bool,
) -> Result<state::User, ChangeError> {
    let gone = parking_lot::Mutex::new(None);
    change(global, |state| {
        let user = state.users.iter().find(|user| which(user));
        let user = user.ok_or_else(|| Reject::new("there is no such user"))?;
        *gone.lock() = Some(user.clone());
        Ok(vec![Event::UserRemoved {
            id: user.id.clone(),
        }])
    })
    .await?;
    gone.into_inner()
        .ok_or_else(|| ChangeError::NotFound("there is no such user".to_owned()))
}

fn repository<'a>(state: &'a State, name: &str) -> Result<&'a state::Repository, Reject> {
    let found = state.repository_named(name);
    found.ok_or_else(|| {
        Reject::new(format!(
            "there is no repository {name:?}; createRepository makes one"
        ))
    })
}

/// A token may only prescribe what ingest can do: parsers with scripts of their own, which a
/// recovered state may carry, are not run.
fn known_parser(name: &str) -> Result<(), ChangeError> {
    if parse::is_known(name) {
        return Ok(());
    }
    Err(ChangeError::Input(format!(
        "there is no parser {name:?}; use one of {}",
        BUILT_IN_PARSERS.join(", ")
    )))
}

fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}

pub(super) fn new_token() -> Result<String, ChangeError> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ChangeError::NoRandom)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
