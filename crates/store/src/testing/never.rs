//! What must never be stored, whoever was killed when.

use super::TestDatabase;

/// Each finds the ids of what must not be.
const NEVER: &[(&str, &str)] = &[
    (
        "rule 4: a grant without exactly one current token set",
        "SELECT g.id AS id FROM grants g WHERE 1 <> (SELECT count(*) FROM token_sets t WHERE t.state = 'current'
         AND t.application_id = g.application_id AND t.grant_id = g.id)",
    ),
    (
        "rule 1: a grant with the tokens of another credential",
        "SELECT g.id AS id FROM grants g JOIN token_sets t ON t.application_id = g.application_id
         AND t.grant_id = g.id AND t.state = 'current' WHERE t.credential_id IS DISTINCT FROM g.credential_id",
    ),
    (
        "tokens of a grant that is not there",
        "SELECT t.id AS id FROM token_sets t WHERE t.state IN ('current', 'previous') AND NOT EXISTS
         (SELECT 1 FROM grants g WHERE g.application_id = t.application_id AND g.id = t.grant_id)",
    ),
    (
        "rule 4: a pending set without a sign-in that waits for its exchange",
        "SELECT t.id AS id FROM token_sets t WHERE t.state = 'pending' AND NOT EXISTS
         (SELECT 1 FROM sign_ins s WHERE s.application_id = t.application_id AND s.id = t.sign_in_id
         AND s.status = 'completed')",
    ),
    (
        "rule 4: a sign-in that waits for its exchange without its pending set",
        "SELECT s.id AS id FROM sign_ins s WHERE s.status = 'completed' AND NOT EXISTS
         (SELECT 1 FROM token_sets t WHERE t.application_id = s.application_id AND t.id = s.id
         AND t.state = 'pending')",
    ),
    (
        "rule 9: a code that was used other than once",
        "SELECT s.id AS id FROM sign_ins s WHERE (SELECT count(*) FROM changes c
         WHERE c.application_id = s.application_id AND c.entity = 'grant' AND c.actor = 'sign_in:' || s.id)
         <> CASE s.status WHEN 'exchanged' THEN 1 ELSE 0 END",
    ),
    (
        "rule 9: a family with more than one refresh token that works",
        "SELECT r.family_id AS id FROM refresh_tokens r WHERE r.used_at IS NULL
         GROUP BY r.application_id, r.family_id HAVING count(*) > 1",
    ),
    (
        "an access token of a grant that is not there",
        "SELECT a.id AS id FROM access_tokens a WHERE NOT EXISTS
         (SELECT 1 FROM grants g WHERE g.application_id = a.application_id AND g.id = a.grant_id)",
    ),
    (
        "a refresh token of a grant that is not there",
        "SELECT r.id AS id FROM refresh_tokens r WHERE NOT EXISTS
         (SELECT 1 FROM grants g WHERE g.application_id = r.application_id AND g.id = r.grant_id)",
    ),
    (
        "a refresh state without its grant",
        "SELECT r.grant_id AS id FROM refresh_states r WHERE NOT EXISTS
         (SELECT 1 FROM grants g WHERE g.application_id = r.application_id AND g.id = r.grant_id)",
    ),
    (
        "a grant without its refresh state",
        "SELECT g.id AS id FROM grants g WHERE NOT EXISTS
         (SELECT 1 FROM refresh_states r WHERE r.application_id = g.application_id AND r.grant_id = g.id)",
    ),
    (
        "passwords without their grant",
        "SELECT a.id AS id FROM account_secrets a WHERE NOT EXISTS
         (SELECT 1 FROM grants g WHERE g.application_id = a.application_id AND g.id = a.grant_id)",
    ),
    (
        "a secret without its credential",
        "SELECT x.id AS id FROM credential_secrets x WHERE NOT EXISTS
         (SELECT 1 FROM credentials c WHERE c.application_id = x.application_id AND c.id = x.credential_id)",
    ),
    (
        "a live credential without its secret or its connector",
        "SELECT c.id AS id FROM credentials c WHERE c.deleted_at IS NULL AND (NOT EXISTS
         (SELECT 1 FROM credential_secrets x WHERE x.application_id = c.application_id AND x.credential_id = c.id)
         OR NOT EXISTS (SELECT 1 FROM connectors k WHERE k.application_id = c.application_id
         AND k.id = c.connector_id AND k.deleted_at IS NULL))",
    ),
    (
        "a live connector whose default credential is not there",
        "SELECT k.id AS id FROM connectors k WHERE k.deleted_at IS NULL AND k.active_credential_id IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.application_id = k.application_id
         AND c.id = k.active_credential_id AND c.deleted_at IS NULL)",
    ),
    (
        "rule 10: a grant whose version its entries do not explain",
        "SELECT g.id AS id FROM grants g WHERE g.version <> (SELECT count(*) FROM changes c
         WHERE c.application_id = g.application_id AND c.entity = 'grant' AND c.entity_id = g.id)",
    ),
    (
        "rule 10: an entry that made a grant which neither is there nor was deleted, or the reverse",
        "SELECT c.entity_id AS id FROM changes c WHERE c.entity = 'grant' GROUP BY c.application_id, c.entity_id
         HAVING sum(CASE c.action WHEN 'created' THEN 1 ELSE 0 END) <> 1
         OR sum(CASE c.action WHEN 'deleted' THEN 1 ELSE 0 END) + (SELECT count(*) FROM grants g
         WHERE g.application_id = c.application_id AND g.id = c.entity_id) <> 1",
    ),
    (
        "rule 10: a key with other entries than it has had changes",
        "SELECT k.id AS id FROM api_keys k WHERE (SELECT count(*) FROM changes c
         WHERE c.application_id = k.application_id AND c.entity = 'api_key' AND c.entity_id = k.id)
         <> CASE WHEN k.revoked_at IS NULL THEN 1 ELSE 2 END",
    ),
    (
        "rule 10: a credential or connector whose end its entries do not tell",
        "SELECT c.id AS id FROM (SELECT application_id, id, 'credential' AS entity, deleted_at FROM credentials
         UNION ALL SELECT application_id, id, 'connector', deleted_at FROM connectors) c
         WHERE 1 <> (SELECT count(*) FROM changes e WHERE e.application_id = c.application_id
         AND e.entity = c.entity AND e.entity_id = c.id AND e.action = 'created')
         OR CASE WHEN c.deleted_at IS NULL THEN 0 ELSE 1 END <> (SELECT count(*) FROM changes e
         WHERE e.application_id = c.application_id AND e.entity = c.entity AND e.entity_id = c.id
         AND e.action = 'deleted')",
    ),
    (
        "rule 10: an entry about something that never was",
        "SELECT e.entity_id AS id FROM changes e WHERE
         (e.entity = 'api_key' AND NOT EXISTS (SELECT 1 FROM api_keys k
         WHERE k.application_id = e.application_id AND k.id = e.entity_id) AND NOT EXISTS (SELECT 1 FROM changes d
         WHERE d.application_id = e.application_id AND d.entity = 'api_key' AND d.entity_id = e.entity_id
         AND d.action = 'deleted'))
         OR (e.entity = 'credential' AND NOT EXISTS (SELECT 1 FROM credentials k
         WHERE k.application_id = e.application_id AND k.id = e.entity_id))
         OR (e.entity = 'connector' AND NOT EXISTS (SELECT 1 FROM connectors k
         WHERE k.application_id = e.application_id AND k.id = e.entity_id))",
    ),
];

impl TestDatabase {
    /// The rules that [`TestDatabase::half_done`] looks for breaches of.
    pub fn rules() -> impl Iterator<Item = &'static str> {
        NEVER.iter().map(|(rule, _)| *rule)
    }

    /// What is half there: a rule, and the id of what breaks it. Takes time in the square of what is stored.
    ///
    /// # Panics
    /// If the database cannot be asked.
    pub async fn half_done(&self) -> Vec<String> {
        let all = NEVER
            .iter()
            .map(|(rule, sql)| format!("SELECT '{rule}: ' || found.id FROM ({sql}) AS found"));
        let all: Vec<_> = all.collect();
        self.texts(&all.join(" UNION ALL ")).await
    }
}
