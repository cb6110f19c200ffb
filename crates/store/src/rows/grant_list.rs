//! The list of grants, with every filter and order.
//!
//! One condition serves all filters that are set or not. What a filter can be found by (address,
//! external id, credential, connector) has a variant that states it plainly, so that its index is used.

use super::grants::{anchored, grant, select};
use crate::arg::{Arg, args};
use crate::error::StoreError;
use crate::filter::GrantFilter;
use crate::session::Session;
use crate::statement::{Statement, statements};
use keyway_core::grant::Grant;
use keyway_core::ids::ApplicationId;
use keyway_core::page::{OrderBy, Page, SortBy};

macro_rules! list {
    ($driver:literal, $order:literal) => {
        concat!(
            select!(),
            "WHERE g.application_id = $1 AND ",
            $driver,
            " AND (CAST($2 AS TEXT) IS NULL OR g.email_key = $2)
            AND (CAST($3 AS TEXT) IS NULL OR g.provider = $3)
            AND (CAST($4 AS TEXT) IS NULL OR $4 = CASE WHEN g.status = 'valid' AND ",
            anchored!(),
            " THEN 'valid' ELSE 'invalid' END)
            AND (CAST($5 AS TEXT) IS NULL OR g.ip = $5)
            AND (CAST($6 AS BIGINT) IS NULL OR g.created_at >= $6)
            AND (CAST($7 AS BIGINT) IS NULL OR g.created_at <= $7)
            AND (CAST($8 AS TEXT) IS NULL OR g.workspace_id = $8)
            AND (CAST($9 AS TEXT) IS NULL OR g.credential_id = $9)
            AND (CAST($10 AS TEXT) IS NULL OR g.connector_id = $10)
            AND (CAST($11 AS TEXT) IS NULL OR g.external_id = $11)
            ORDER BY ",
            $order,
            " LIMIT $12 OFFSET $13"
        )
    };
}

macro_rules! in_every_order {
    ($($driver:literal => $ca:ident $cd:ident $ua:ident $ud:ident;)+) => {
        statements! { "grants"; $(
            $ca = list!($driver, "g.created_at, g.id");
            $cd = list!($driver, "g.created_at DESC, g.id DESC");
            $ua = list!($driver, "g.updated_at, g.id");
            $ud = list!($driver, "g.updated_at DESC, g.id DESC");
        )+ }
    };
}

in_every_order! {
    "1 = 1" => ALL_CA ALL_CD ALL_UA ALL_UD;
    "g.email_key = $2" => EMAIL_CA EMAIL_CD EMAIL_UA EMAIL_UD;
    "g.credential_id = $9" => CREDENTIAL_CA CREDENTIAL_CD CREDENTIAL_UA CREDENTIAL_UD;
    "g.connector_id = $10" => CONNECTOR_CA CONNECTOR_CD CONNECTOR_UA CONNECTOR_UD;
    "g.external_id = $11" => EXTERNAL_CA EXTERNAL_CD EXTERNAL_UA EXTERNAL_UD;
}

type Orders = [&'static Statement; 4];

/// The narrowest variant first.
const fn orders(filter: &GrantFilter) -> Orders {
    if filter.external_id.is_some() {
        [&EXTERNAL_CA, &EXTERNAL_CD, &EXTERNAL_UA, &EXTERNAL_UD]
    } else if filter.email_key.is_some() {
        [&EMAIL_CA, &EMAIL_CD, &EMAIL_UA, &EMAIL_UD]
    } else if filter.credential_id.is_some() {
        [
            &CREDENTIAL_CA,
            &CREDENTIAL_CD,
            &CREDENTIAL_UA,
            &CREDENTIAL_UD,
        ]
    } else if filter.connector_id.is_some() {
        [&CONNECTOR_CA, &CONNECTOR_CD, &CONNECTOR_UA, &CONNECTOR_UD]
    } else {
        [&ALL_CA, &ALL_CD, &ALL_UA, &ALL_UD]
    }
}

const fn statement(filter: &GrantFilter, page: Page) -> &'static Statement {
    let [created_asc, created_desc, updated_asc, updated_desc] = orders(filter);
    match (page.sort_by, page.order_by) {
        (SortBy::CreatedAt, OrderBy::Asc) => created_asc,
        (SortBy::CreatedAt, OrderBy::Desc) => created_desc,
        (SortBy::UpdatedAt, OrderBy::Asc) => updated_asc,
        (SortBy::UpdatedAt, OrderBy::Desc) => updated_desc,
    }
}

/// The list of grants.
impl Session<'_> {
    /// The application's grants that match `filter`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn grants(
        &mut self,
        application_id: ApplicationId,
        filter: &GrantFilter,
        page: Page,
    ) -> Result<Vec<Grant>, StoreError> {
        if filter.none {
            return Ok(Vec::new());
        }
        let values: &[Arg<'_>] = args![
            application_id,
            filter.email_key,
            filter.provider,
            filter.status,
            filter.ip,
            filter.since,
            filter.before,
            filter.workspace_id,
            filter.credential_id,
            filter.connector_id,
            filter.external_id,
            page.limit,
            page.offset,
        ];
        self.many(statement(filter, page), values, grant).await
    }
}
