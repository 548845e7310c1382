//! Users' API tokens, and who asks.

use async_graphql::{Context, ErrorExtensions, InputObject, Object, Result, SimpleObject};
use backstay_global as state;
use backstay_global::{Event, GlobalLog, Reject};

use super::Asker;
use super::change::{ChangeError, change, global};
use super::mutations::new_token;
use super::types::User;
use crate::engine::view::{API_TOKEN_MARK, token_hash};

/// The user whose API token is replaced.
#[derive(InputObject)]
#[graphql(name = "RotateTokenInputType")]
pub(super) struct RotateToken {
    /// The user's id.
    id: String,
}

/// What changes of a user.
#[derive(InputObject)]
#[graphql(name = "UpdateUserInput")]
pub(super) struct UpdateUser {
    /// Who.
    username: String,
    /// The full name; without it, it stays.
    full_name: Option<String>,
    /// May do everything; without it, it stays.
    is_root: Option<bool>,
}

/// A user was changed.
#[derive(SimpleObject)]
pub(super) struct UpdateUserMutation {
    /// The user as it is now.
    user: User,
}

/// Who asks.
#[derive(SimpleObject)]
pub(super) struct Account {
    /// The user's name; `admin-token` and `localroot` are nobody's.
    username: String,
}

pub(super) struct Queries;

#[Object(name = "AccountQueries")]
impl Queries {
    /// Whose token came with the request.
    async fn viewer(&self, context: &Context<'_>) -> Result<Account> {
        let Asker(name) = context.data::<Asker>()?;
        Ok(Account {
            username: name.clone().unwrap_or_default(),
        })
    }
}

pub(super) struct Mutations;

#[Object(name = "AccountMutations")]
impl Mutations {
    /// Makes a user's API token; one that there was is worth nothing from then on. It is in the answer, and
    /// nowhere else after that. With the one of a user who is root, everything may be done.
    async fn rotate_token(&self, context: &Context<'_>, input: RotateToken) -> Result<String> {
        rotate(global(context)?, &input.id)
            .await
            .map_err(|error| error.extend())
    }

    /// Changes a user.
    async fn update_user(
        &self,
        context: &Context<'_>,
        input: UpdateUser,
    ) -> Result<UpdateUserMutation> {
        let which = |user: &state::User| user.username == input.username;
        let user = set(global(context)?, which, |user| {
            user.is_root = input.is_root.unwrap_or(user.is_root);
            if input.full_name.is_some() {
                user.full_name.clone_from(&input.full_name);
            }
        });
        let user = user.await.map_err(|error| error.extend())?;
        Ok(UpdateUserMutation {
            user: User::from(&user),
        })
    }
}

async fn rotate(global: &GlobalLog, id: &str) -> Result<String, ChangeError> {
    let token = format!("{id}{API_TOKEN_MARK}{}", new_token()?);
    let hash = token_hash(&token);
    let which = |user: &state::User| user.id == id;
    set(global, which, |user| {
        user.api_token_hash = Some(hash.clone())
    })
    .await?;
    Ok(token)
}

/// Changes the user whom `which` knows.
async fn set(
    global: &GlobalLog,
    which: impl Fn(&state::User) -> bool,
    changed: impl Fn(&mut state::User),
) -> Result<state::User, ChangeError> {
    let set = parking_lot::Mutex::new(None);
    change(global, |state| {
        let user = state.users.iter().find(|user| which(user));
        let mut user = user
            .ok_or_else(|| Reject::new("there is no such user"))?
            .clone();
        changed(&mut user);
        *set.lock() = Some(user.clone());
        Ok(vec![Event::UserSet { user }])
    })
    .await?;
    set.into_inner()
        .ok_or_else(|| ChangeError::NotFound("there is no such user".to_owned()))
}
