//! What every handler has at hand.

use crate::bodies::Bodies;
use crate::hosted::Pages;
use crate::options::WebOptions;
use keyway_engine::Engine;
use std::sync::Arc;

/// The router's state; cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) options: Arc<WebOptions>,
    pub(crate) pages: Arc<Pages>,
    pub(crate) bodies: Arc<Bodies>,
}

impl App {
    pub(crate) fn new(engine: Engine, options: WebOptions) -> Self {
        Self {
            pages: Arc::new(Pages::new()),
            engine,
            bodies: Arc::new(Bodies::new(options.body_limit_bytes)),
            options: Arc::new(options),
        }
    }
}
