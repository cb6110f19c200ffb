//! What an application makes of the pages: its name, its words, its colours, its pictures.
//!
//! Colours go into a style sheet of our own and pictures come through this server, so that the pages' policy
//! stays strict and no third party hears of a sign-in. Text on a colour is black or white, whichever can be read.

use keyway_core::application::Application;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use url::Url;

/// Most pixels between a page's edge and its card.
const SPACING_MAX_PX: u64 = 96;
/// Most characters of a text an application gives.
const TEXT_MAX_CHARS: usize = 200;

/// An application's part of a page.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Theme {
    /// What people call it.
    pub(crate) application: String,
    /// A title of its own.
    pub(crate) title: Option<String>,
    /// A subtitle of its own.
    pub(crate) subtitle: Option<String>,
    /// Where its style sheet is; none if it has no look of its own.
    pub(crate) style: Option<String>,
    /// Where its picture is.
    pub(crate) icon: Option<String>,
    pub(crate) website: Option<String>,
    pub(crate) terms: Option<String>,
    pub(crate) privacy: Option<String>,
}

fn member<'a>(application: &'a Application, object: &str, name: &str) -> Option<&'a Value> {
    application.profile.get(object)?.get(name)
}

fn text<'a>(application: &'a Application, object: &str, name: &str) -> Option<&'a str> {
    let text = member(application, object, name)?.as_str()?.trim();
    (!text.is_empty()).then_some(text)
}

fn words(application: &Application, object: &str, name: &str) -> Option<String> {
    let text = text(application, object, name)?;
    Some(text.chars().take(TEXT_MAX_CHARS).collect())
}

/// A link that a page may show: to the web, and to nothing else.
fn link(application: &Application, object: &str, name: &str) -> Option<String> {
    let url = Url::parse(text(application, object, name)?).ok()?;
    matches!(url.scheme(), "https" | "http").then(|| url.into())
}

/// Whether there may be a picture: the server gets them over https alone.
fn picture(application: &Application, object: &str, name: &str) -> bool {
    link(application, object, name).is_some_and(|url| url.starts_with("https:"))
}

impl Theme {
    /// The look of `application`.
    pub(crate) fn of(application: &Application) -> Self {
        let (id, version) = (application.id, application.version);
        let hosted = "hosted_authentication";
        let style = !style_sheet(application).is_empty();
        let icon = picture(application, "branding", "icon_url");
        Self {
            application: words(application, "branding", "name")
                .unwrap_or_else(|| application.name.clone()),
            title: words(application, hosted, "title"),
            subtitle: words(application, hosted, "subtitle"),
            style: style.then(|| format!("/v3/connect/theme.css?client_id={id}&v={version}")),
            icon: icon.then(|| format!("/v3/connect/images/icon?client_id={id}&v={version}")),
            website: link(application, "branding", "website_url"),
            terms: link(application, hosted, "terms_of_service_url"),
            privacy: link(application, hosted, "privacy_policy_url"),
        }
    }
}

/// The style sheet of an application's look; empty if it has none.
pub(crate) fn style_sheet(application: &Application) -> String {
    let hosted = "hosted_authentication";
    let colour = |name| text(application, hosted, name).and_then(Colour::parse);
    let mut root = String::new();
    // Writing to a String cannot fail.
    if let Some(primary) = colour("color_primary") {
        let _ = write!(
            root,
            "--accent:{primary};--on-accent:{};",
            primary.readable()
        );
    }
    if let Some(secondary) = colour("color_secondary") {
        let _ = write!(root, "--band:{secondary};");
    }
    if let Some(ground) = colour("background_color") {
        let _ = write!(root, "--ground:{ground};--on-ground:{};", ground.readable());
    }
    if let Some(px) = member(application, hosted, "spacing").and_then(Value::as_u64) {
        let _ = write!(root, "--spacing:{}px;", px.min(SPACING_MAX_PX));
    }
    match text(application, hosted, "alignment") {
        Some("left") => root.push_str("--align:start;"),
        Some("right") => root.push_str("--align:end;"),
        _ => {}
    }
    if picture(application, hosted, "background_image_url") {
        let (id, version) = (application.id, application.version);
        let _ = write!(
            root,
            "--picture:url(\"/v3/connect/images/background?client_id={id}&v={version}\");"
        );
    }
    match root.is_empty() {
        true => root,
        false => format!(":root{{{root}}}"),
    }
}

/// A colour, as `#rgb` or `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Colour([u8; 3]);

impl Colour {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        let nibbles: Option<Vec<u8>> = digits
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        match *nibbles? {
            [r, g, b] => Some(Self([r * 17, g * 17, b * 17])),
            [r, s, g, h, b, c] => Some(Self([r * 16 + s, g * 16 + h, b * 16 + c])),
            _ => None,
        }
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let share = f64::from(channel) / 255.0;
            match share <= 0.04045 {
                true => share / 12.92,
                false => ((share + 0.055) / 1.055).powf(2.4),
            }
        };
        let [r, g, b] = self.0.map(linear);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    /// Black or white: the one that contrasts more, which is always 4.5 to 1 at least.
    fn readable(self) -> &'static str {
        let luminance = self.luminance();
        let (on_white, on_black) = (1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05);
        match on_white >= on_black {
            true => "#ffffff",
            false => "#000000",
        }
    }
}

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [r, g, b] = self.0;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::application::AdditionalSettings;
    use keyway_core::ids::{ApplicationId, OrganizationId};
    use keyway_core::time::UnixMillis;
    use serde_json::json;

    fn application(profile: &Value) -> Application {
        Application {
            id: ApplicationId::from_u128(1),
            organization_id: OrganizationId::from_u128(2),
            name: "acme-prod".into(),
            region: "us".into(),
            environment: "production".into(),
            profile: profile.as_object().unwrap().clone(),
            additional: AdditionalSettings::default(),
            blocked: false,
            created_at: UnixMillis(0),
            updated_at: UnixMillis(0),
            version: 3,
        }
    }

    fn hosted(members: &Value) -> String {
        style_sheet(&application(&json!({ "hosted_authentication": members })))
    }

    #[test]
    fn colours_are_hex_and_nothing_else_gets_into_the_style_sheet() {
        assert_eq!(
            hosted(&json!({"color_primary": "#0A5", "background_color": " #102030 "})),
            ":root{--accent:#00aa55;--on-accent:#000000;--ground:#102030;--on-ground:#ffffff;}"
        );
        for evil in [
            "red;}body{display:none",
            "#12",
            "#1234",
            "#12345g",
            "#ééé",
            "url(x)",
            "",
            "#",
        ] {
            assert_eq!(
                hosted(&json!({"color_primary": evil, "alignment": evil})),
                "",
                "{evil}"
            );
        }
        assert_eq!(
            hosted(&json!({"spacing": 900, "alignment": "right"})),
            ":root{--spacing:96px;--align:end;}"
        );
    }

    #[test]
    fn text_on_any_colour_can_be_read() {
        for value in 0..=255 {
            for colour in [
                [value; 3],
                [value, 0, 0],
                [0, value, 0],
                [255, value, 0],
                [0, 0, value],
            ] {
                let colour = Colour(colour);
                let text = Colour::parse(colour.readable()).unwrap();
                let (one, other) = (colour.luminance(), text.luminance());
                let ratio = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                assert!(ratio >= 4.5, "{colour} {ratio}");
            }
        }
    }

    #[test]
    fn links_lead_to_the_web_and_pictures_come_from_here() {
        let theme = Theme::of(&application(&json!({
            "branding": {"name": "Acme", "icon_url": "https://cdn.example.com/i.png", "website_url": "javascript:alert(1)"},
            "hosted_authentication": {"terms_of_service_url": "https://acme.example/terms", "privacy_policy_url": "data:text/html,x"},
        })));
        assert_eq!(theme.application, "Acme");
        assert!(
            theme
                .icon
                .unwrap()
                .starts_with("/v3/connect/images/icon?client_id=")
        );
        assert_eq!((theme.website, theme.privacy), (None, None));
        assert_eq!(theme.terms.as_deref(), Some("https://acme.example/terms"));
        assert!(theme.style.is_none());
        assert_eq!(Theme::of(&application(&json!({}))).application, "acme-prod");
    }
}
