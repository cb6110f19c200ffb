//! Values on their way into a statement, the same for both databases.

use crate::error::StoreError;
use bytes::BytesMut;
use keyway_core::application::Platform;
use keyway_core::change::{Action, Entity};
use keyway_core::credential::{CredentialType, HealthStatus, Owner, SlotState};
use keyway_core::grant::GrantStatus;
use keyway_core::ids::{
    AccessTokenId, AccountSecretId, ApiKeyId, ApplicationId, ConnectorId, CredentialId, FamilyId,
    GrantId, OrganizationId, RedirectUriId, RefreshTokenId, SecretId, ServiceAccountId, SignInId,
    TokenSetId, WorkspaceId,
};
use keyway_core::provider::Provider;
use keyway_core::sealed::{Digest, Sealed};
use keyway_core::sign_in::SignInStatus;
use keyway_core::time::UnixMillis;
use keyway_core::token_set::TokenSetState;
use rusqlite::types::{ToSqlOutput, ValueRef};
use std::borrow::Cow;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// One value to bind.
#[derive(Debug)]
pub(crate) enum Arg<'a> {
    Null,
    Int(i64),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
}

/// `args![a, b]`: the values by reference, in the order of `$1`, `$2`, …
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::arg::Bind::bind(&$value)),*] };
}
pub(crate) use args;

/// The JSON text of `value`.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::bug("a value has no JSON form"))
}

impl Arg<'_> {
    /// Refuses what PostgreSQL cannot store, so that SQLite does not either.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match self {
            Self::Text(text) if text.contains('\0') => {
                Err(StoreError::bug("a text to store contains a NUL character"))
            }
            _ => Ok(()),
        }
    }
}

/// What can be bound.
pub(crate) trait Bind {
    /// The value to bind.
    fn bind(&self) -> Arg<'_>;
}

impl<T: Bind + ?Sized> Bind for &T {
    fn bind(&self) -> Arg<'_> {
        (**self).bind()
    }
}

impl<T: Bind> Bind for Option<T> {
    fn bind(&self) -> Arg<'_> {
        self.as_ref().map_or(Arg::Null, T::bind)
    }
}

macro_rules! bind {
    ($($kind:ty: $value:ident => $arg:expr;)+) => {$(
        impl Bind for $kind {
            fn bind(&self) -> Arg<'_> {
                let $value = self;
                $arg
            }
        }
    )+};
}

bind! {
    i64: value => Arg::Int(*value);
    bool: value => Arg::Int(i64::from(*value));
    UnixMillis: value => Arg::Int(value.0);
    str: value => Arg::Text(Cow::Borrowed(value));
    String: value => Arg::Text(Cow::Borrowed(value));
    Vec<u8>: value => Arg::Bytes(value);
    Sealed: value => Arg::Bytes(&value.0);
    Digest: value => Arg::Bytes(&value.0);
}

macro_rules! by_display {
    ($($id:ty),+ $(,)?) => {$(
        impl Bind for $id {
            fn bind(&self) -> Arg<'_> {
                Arg::Text(Cow::Owned(self.to_string()))
            }
        }
    )+};
}

by_display!(
    AccessTokenId,
    AccountSecretId,
    ApiKeyId,
    ApplicationId,
    ConnectorId,
    CredentialId,
    FamilyId,
    GrantId,
    OrganizationId,
    RedirectUriId,
    RefreshTokenId,
    SecretId,
    ServiceAccountId,
    SignInId,
    TokenSetId,
    WorkspaceId,
);

macro_rules! by_word {
    ($($word:ty),+ $(,)?) => {$(
        impl Bind for $word {
            fn bind(&self) -> Arg<'_> {
                Arg::Text(Cow::Borrowed(self.as_str()))
            }
        }
    )+};
}

by_word!(
    Action,
    CredentialType,
    Entity,
    GrantStatus,
    HealthStatus,
    Owner,
    Platform,
    Provider,
    SignInStatus,
    SlotState,
    TokenSetState,
);

impl rusqlite::ToSql for Arg<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

type Encoded = Result<IsNull, Box<dyn std::error::Error + Sync + Send>>;

impl ToSql for Arg<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Encoded {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(number), &Type::INT8) => number.to_sql(ty, out),
            (Self::Text(text), &Type::TEXT) => text.to_sql(ty, out),
            (Self::Bytes(bytes), &Type::BYTEA) => bytes.to_sql(ty, out),
            _ => Err("the statement takes another type here".into()),
        }
    }

    // Which variant fits is known only with the value in hand.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
