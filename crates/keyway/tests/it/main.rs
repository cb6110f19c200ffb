//! The program from outside: real processes, real signals, both databases.

#[cfg(test)]
mod api_keys;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod copies;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod ews;
#[cfg(test)]
mod keyring;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod own_provider;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod shared_app;
#[cfg(test)]
mod site;
#[cfg(test)]
mod transit;
#[cfg(test)]
mod wire;

/// One test for each database.
#[cfg(test)]
macro_rules! on_both {
    ($($name:ident)+) => {$(
        mod $name {
            #[test]
            fn on_sqlite() {
                run(keyway_store::Backend::Sqlite);
            }

            #[test]
            fn on_postgres() {
                run(keyway_store::Backend::Postgres);
            }

            fn run(backend: keyway_store::Backend) {
                if let Some(site) = crate::site::Site::on(backend) {
                    super::$name(&site);
                }
            }
        }
    )+};
}
#[cfg(test)]
pub(crate) use on_both;
