//! The seam: what has resources, and answers for them.

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use backstay_resource::ResourceType;

use crate::{Address, ArmError, Done, Query};

/// A type of resource that is answered for, in which versions of its API; all in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The resource type that is answered for.
    pub of: ResourceType,
    /// The values of `api-version` that are answered.
    pub versions: &'static [&'static str],
}

/// A request for something that is known to be there or not, by who may ask for it.
pub struct Call {
    /// The parameters of its URL.
    pub query: Query,
    /// The whole request, with its body.
    pub request: Request<Body>,
}

impl Call {
    /// The HTTP method of the request.
    pub fn method(&self) -> &Method {
        self.request.method()
    }
}

/// What has resources, and answers for them.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// What a request can be about.
    type Place: Send;

    /// The types that it has in resource groups.
    fn in_groups(&self) -> &'static [Served];

    /// The types that it has in subscriptions alone.
    fn in_subscriptions(&self) -> &'static [Served] {
        &[]
    }

    /// The subscriptions in which there is anything of it.
    fn subscriptions(&self) -> Vec<String>;

    /// What a request is about, by its path; none if there never is anything.
    ///
    /// # Errors
    /// When what Azure has there is not offered.
    fn place(&self, address: &Address) -> Result<Option<Self::Place>, ArmError>;

    /// Answers a request.
    ///
    /// # Errors
    /// When it is not carried out.
    async fn answer(&self, place: Self::Place, call: Call) -> Result<Done, ArmError>;
}

/// A provider, whatever its places are.
#[async_trait]
pub(crate) trait AnyProvider: Send + Sync {
    fn in_groups(&self) -> &'static [Served];
    fn in_subscriptions(&self) -> &'static [Served];
    fn subscriptions(&self) -> Vec<String>;

    /// Answers a request of a type of its own; none if there is nothing at its path.
    async fn answer_at(
        &self,
        address: &Address,
        of: &Served,
        call: Call,
    ) -> Result<Option<Done>, ArmError>;
}

#[async_trait]
impl<P: Provider> AnyProvider for P {
    fn in_groups(&self) -> &'static [Served] {
        Provider::in_groups(self)
    }

    fn in_subscriptions(&self) -> &'static [Served] {
        Provider::in_subscriptions(self)
    }

    fn subscriptions(&self) -> Vec<String> {
        Provider::subscriptions(self)
    }

    async fn answer_at(
        &self,
        address: &Address,
        of: &Served,
        call: Call,
    ) -> Result<Option<Done>, ArmError> {
        let Some(place) = self.place(address)? else {
            return Ok(None);
        };
        call.query.check_version(Some(of))?;
        self.answer(place, call).await.map(Some)
    }
}

/// Answers one method, and says of any other that it is not allowed.
///
/// # Errors
/// Those of the answer, and for any other method.
pub fn only(
    method: &Method,
    wanted: Method,
    answer: impl FnOnce() -> Result<Done, ArmError>,
) -> Result<Done, ArmError> {
    if *method == wanted {
        answer()
    } else {
        Err(ArmError::method(method))
    }
}
