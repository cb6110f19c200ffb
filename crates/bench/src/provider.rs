//! A provider that costs as little as a provider can: the code names user and nonce, the token endpoint
//! signs an id_token for them.

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keyway_vault::jwt::{PublicJwk, SigningKey};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;

/// The provider application everybody signs in through.
pub(crate) const CLIENT_ID: &str = "bench-app";

/// How long access tokens of most runs live, in seconds.
pub(crate) const ONE_HOUR: u64 = 3600;

/// How long the API takes for what it is slow at.
const SLOWNESS: Duration = Duration::from_millis(200);

pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    refreshes: Arc<AtomicU64>,
}

impl Provider {
    /// Refreshes so far.
    pub(crate) fn refreshes(&self) -> u64 {
        self.refreshes.load(Relaxed)
    }
}

struct Keys {
    signing: SigningKey,
    public: PublicJwk,
    issuer: String,
    lifetime_secs: u64,
    refreshes: Arc<AtomicU64>,
}

/// Starts it on a thread of its own.
pub(crate) async fn start(lifetime_secs: u64) -> Result<Provider> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let listener = listener.into_std()?;
    let (pkcs8, public) = SigningKey::generate_es256()?;
    let signing = SigningKey::from_pkcs8(&public.kid, &pkcs8)?;
    let keys = Arc::new(Keys {
        signing,
        public,
        issuer: format!("http://{address}"),
        lifetime_secs,
        refreshes: Arc::default(),
    });
    let refreshes = Arc::clone(&keys.refreshes);
    std::thread::spawn(move || serve(listener, keys));
    Ok(Provider { address, refreshes })
}

fn serve(listener: std::net::TcpListener, keys: Arc<Keys>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let keys = Arc::clone(&keys);
            let service = service_fn(move |request| answer(Arc::clone(&keys), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::task::spawn_local(async move { drop(connection.await) });
        }
    }))
}

async fn answer(
    keys: Arc<Keys>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = match request.uri().path() {
        "/jwks" => json!({"keys": [keys.public]}),
        "/token" => {
            let form = request
                .into_body()
                .collect()
                .await
                .map(|body| body.to_bytes());
            tokens(&keys, &form.unwrap_or_default())
        }
        // The API: whoever calls gets the same.
        "/slow.json" => {
            tokio::time::sleep(SLOWNESS).await;
            json!({"id": "me"})
        }
        "/me.json" => json!({"id": "me"}),
        _ => json!({"error": "not_found"}),
    };
    Ok(Response::new(Full::new(Bytes::from(body.to_string()))))
}

/// A refresh of a token made here costs a counter; one of `seed.<email>` makes a user whose access token
/// ends at once, so that the first call refreshes.
fn refreshed(keys: &Keys, token: &str) -> Value {
    if let Some(email) = token.strip_prefix("seed.") {
        return signed(keys, email, None, 1);
    }
    keys.refreshes.fetch_add(1, Relaxed);
    json!({"access_token": format!("at-{token}"), "expires_in": keys.lifetime_secs, "token_type": "Bearer"})
}

/// The code is `<email>.<nonce>`; any other exchange is refused as an unknown code.
fn tokens(keys: &Keys, form: &[u8]) -> Value {
    if let Some((_, token)) = form_urlencoded::parse(form).find(|(name, _)| name == "refresh_token")
    {
        return refreshed(keys, &token);
    }
    let code = form_urlencoded::parse(form)
        .find(|(name, _)| name == "code")
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    let Some((email, nonce)) = code.rsplit_once('.') else {
        return json!({"error": "invalid_grant"});
    };
    signed(keys, email, Some(nonce), keys.lifetime_secs)
}

fn signed(keys: &Keys, email: &str, nonce: Option<&str>, lifetime_secs: u64) -> Value {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    let claims = json!({
        "iss": keys.issuer, "aud": CLIENT_ID, "sub": email, "email": email, "nonce": nonce,
        "iat": now, "exp": now + 3600, "name": "Bench User",
    });
    let id_token = keys.signing.sign(&claims).unwrap_or_default();
    json!({
        "access_token": format!("at-{email}"), "refresh_token": format!("rt-{email}"),
        "expires_in": lifetime_secs, "token_type": "Bearer", "id_token": id_token,
    })
}
