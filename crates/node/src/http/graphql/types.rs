//! What queries and mutations answer with.

use async_graphql::{ID, Interface, SimpleObject, Union};
use backstay_global as global;
use backstay_ingest::parse;

/// The parsers that are part of this program, to be named where another is asked for.
pub(super) const BUILT_IN_PARSERS: [&str; 4] = ["accesslog", "json", "kv", "syslog"];

/// About this program.
#[derive(SimpleObject)]
#[graphql(name = "HumioMetadata")]
pub(super) struct Meta {
    /// Its version.
    pub(super) version: &'static str,
}

/// A parser's name.
#[derive(Clone, SimpleObject)]
pub(super) struct Parser {
    /// The name.
    pub(super) name: String,
    /// Whether it is part of the program.
    pub(super) is_built_in: bool,
}

impl Parser {
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            is_built_in: parse::is_known(name),
        }
    }
}

/// What a shipper presents.
#[derive(Clone, SimpleObject)]
pub(super) struct IngestToken {
    /// Unique in the repository.
    pub(super) name: String,
    /// The token itself: only in the answer that it is made by, for nothing but its hash is kept.
    pub(super) token: Option<String>,
    /// The parser that unparsed lines are given to.
    pub(super) parser: Option<Parser>,
}

impl From<&global::IngestToken> for IngestToken {
    fn from(token: &global::IngestToken) -> Self {
        Self {
            name: token.name.clone(),
            token: None,
            parser: token.parser.as_deref().map(Parser::named),
        }
    }
}

/// Where events are kept.
#[derive(Clone, SimpleObject)]
pub(super) struct Repository {
    /// Unique for ever.
    pub(super) id: ID,
    /// Unique among repositories and views.
    pub(super) name: String,
    /// What it is for.
    pub(super) description: Option<String>,
    /// Who may send events.
    pub(super) ingest_tokens: Vec<IngestToken>,
}

impl Repository {
    pub(super) fn of(state: &global::State, repository: &global::Repository) -> Self {
        let tokens = state.ingest_tokens.iter();
        Self {
            id: ID::from(repository.id.as_str()),
            name: repository.name.clone(),
            description: repository.description.clone(),
            ingest_tokens: tokens
                .filter(|token| token.repository == repository.id)
                .map(IngestToken::from)
                .collect(),
        }
    }
}

/// One repository below a view.
#[derive(SimpleObject)]
pub(super) struct ViewConnection {
    /// The repository.
    repository: Repository,
    /// The query that limits what of it is seen; empty for everything.
    filter: String,
}

/// A name for several repositories.
#[derive(SimpleObject)]
pub(super) struct View {
    /// Unique for ever.
    id: ID,
    /// Unique among repositories and views.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// What it shows.
    connections: Vec<ViewConnection>,
}

impl View {
    pub(super) fn of(state: &global::State, view: &global::View) -> Self {
        let connections = view.connections.iter().filter_map(|connection| {
            let repository = state.repository(&connection.repository)?;
            Some(ViewConnection {
                repository: Repository::of(state, repository),
                filter: connection.filter.clone(),
            })
        });
        Self {
            id: ID::from(&view.id),
            name: view.name.clone(),
            description: None,
            connections: connections.collect(),
        }
    }
}

/// What can be searched.
#[derive(Interface)]
#[graphql(
    field(name = "id", ty = "&ID"),
    field(name = "name", ty = "&String"),
    field(name = "description", ty = "&Option<String>")
)]
pub(super) enum SearchDomain {
    /// One repository.
    Repository(Repository),
    /// Several.
    View(View),
}

impl SearchDomain {
    /// All of them, by name.
    pub(super) fn all(state: &global::State) -> Vec<Self> {
        let repositories = state.repositories.iter();
        let repositories = repositories.map(|it| Self::Repository(Repository::of(state, it)));
        let views = state.views.iter();
        let views = views.map(|it| Self::View(View::of(state, it)));
        let mut all: Vec<Self> = repositories.chain(views).collect();
        all.sort_by(|a, b| a.name_of().cmp(b.name_of()));
        all
    }

    pub(super) fn name_of(&self) -> &str {
        match self {
            Self::Repository(it) => &it.name,
            Self::View(it) => &it.name,
        }
    }
}

/// A user.
#[derive(Clone, SimpleObject)]
pub(super) struct User {
    /// Unique for ever.
    pub(super) id: ID,
    /// What the user signs in as.
    pub(super) username: String,
    /// The full name.
    pub(super) full_name: Option<String>,
    /// May do everything.
    pub(super) is_root: bool,
}

impl From<&global::User> for User {
    fn from(user: &global::User) -> Self {
        Self {
            id: ID::from(&user.id),
            username: user.username.clone(),
            full_name: user.full_name.clone(),
            is_root: user.is_root,
        }
    }
}

/// Where there are invitations, a new user may be pending; here there are none.
#[derive(Union)]
pub(super) enum UserOrPendingUser {
    /// The user.
    User(User),
}

/// A dynamic configuration and the value that holds.
#[derive(SimpleObject)]
#[graphql(name = "DynamicConfigKeyValueType")]
pub(super) struct DynamicConfigValue {
    /// Which.
    pub(super) dynamic_config_key: String,
    /// The value, as text.
    pub(super) dynamic_config_value: String,
}

/// A repository was made.
#[derive(SimpleObject)]
pub(super) struct CreateRepositoryMutation {
    /// It.
    pub(super) repository: Repository,
}

/// A user is gone.
#[derive(SimpleObject)]
pub(super) struct RemoveUserMutation {
    /// Who it was.
    pub(super) user: User,
}

/// It is done.
#[derive(SimpleObject)]
pub(super) struct BooleanResultType {
    /// Always `true`; what is not done is an error.
    pub(super) result: bool,
}

impl BooleanResultType {
    pub(super) const DONE: Self = Self { result: true };
}
