//! A file of passwords, as libpq reads it: `HOST:PORT:DATABASE:USER:PASSWORD` on each line.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// The folders of sockets that a line for `localhost` is for.
pub(super) const SOCKETS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// The password for where `config` leads: the first line of `file` that fits the first host that one fits. A file that is not
/// there says nothing, and one that others may read is not believed.
pub(super) fn password(file: &Path, config: &Config) -> Option<String> {
    let metadata = std::fs::metadata(file).ok()?;
    let name = file.display();
    if !metadata.is_file() {
        tracing::warn!("{name} is no file, so no password is taken from it");
        return None;
    }
    if metadata.mode() & 0o077 != 0 {
        tracing::warn!("others may read {name}, so no password is taken from it: chmod 600 {name}");
        return None;
    }
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            tracing::warn!(%error, "cannot read {name}, so no password is taken from it");
            return None;
        }
    };
    let (database, user) = (config.get_dbname().unwrap_or_default(), config.get_user().unwrap_or_default());
    let hosts = config.get_hosts().iter().enumerate();
    let mut places = hosts.map(|(index, host)| (name_of(host), port(config, index)));
    places.find_map(|(host, port)| find(&text, &[host, port, database.into(), user.into()]))
}

fn name_of(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(folder) if SOCKETS.iter().any(|socket| folder == Path::new(socket)) => "localhost".into(),
        #[cfg(unix)]
        Host::Unix(folder) => folder.display().to_string(),
    }
}

fn port(config: &Config, index: usize) -> String {
    let ports = config.get_ports();
    ports.get(index).or_else(|| ports.first()).unwrap_or(&5432).to_string()
}

fn find(text: &str, wanted: &[String; 4]) -> Option<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(fields).find_map(|fields| {
        let [matched @ .., password] = &fields[..] else { return None };
        let fits = |(field, wanted): (&Field, &String)| field.is_any || field.text == *wanted;
        let all_fit = matched.len() == wanted.len() && matched.iter().zip(wanted).all(fits);
        (all_fit && !password.text.is_empty()).then(|| password.text.clone())
    })
}

#[derive(Default)]
struct Field {
    text: String,
    /// A `*`, and nothing else: one that is escaped means itself.
    is_any: bool,
}

/// Five at most: a password may have colons.
fn fields(line: &str) -> Vec<Field> {
    let (mut fields, mut is_escaped) = (vec![Field::default()], false);
    for character in line.chars() {
        let count = fields.len();
        let Some(field) = fields.last_mut() else { break };
        match character {
            '\\' if !is_escaped => {
                is_escaped = true;
                continue;
            }
            ':' if !is_escaped && count < 5 => fields.push(Field::default()),
            other => {
                field.is_any = other == '*' && !is_escaped && field.text.is_empty();
                field.text.push(other);
            }
        }
        is_escaped = false;
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const FILE: &str = r"# host:port:database:user:password
db:5432:shop:ada:first
db:*:shop:ada:any port
*:*:sh\:op:a\\da:with\:colon:and more
\*:1:*:*:a host named star
localhost:*:*:*:by socket
";

    fn found(host: &str, port: &str, database: &str, user: &str) -> Option<String> {
        find(FILE, &[host, port, database, user].map(Into::into))
    }

    #[test]
    fn the_first_line_that_fits_tells_the_password() {
        let said = |password: &str| Some(password.to_owned());
        assert_eq!(found("db", "5432", "shop", "ada"), said("first"));
        assert_eq!(found("db", "6000", "shop", "ada"), said("any port"));
        assert_eq!(found("db", "5432", "shop", "eve"), None);
        assert_eq!(found("x", "1", "sh:op", r"a\da"), said("with:colon:and more"));
        assert_eq!(found("*", "1", "x", "y"), said("a host named star"));
        assert_eq!(found("y", "1", "x", "y"), None);
    }

    #[test]
    fn a_socket_where_servers_have_theirs_is_localhost() {
        let file = tempfile::NamedTempFile::new().expect("made");
        std::fs::write(file.path(), FILE).expect("written");
        let at = |host: &str| format!("host={host} user=u dbname=d").parse::<Config>().expect("valid");
        assert_eq!(password(file.path(), &at("/tmp")).as_deref(), Some("by socket"));
        assert_eq!(password(file.path(), &at("/elsewhere")), None);
        assert_eq!(password(file.path(), &at("/elsewhere,localhost")).as_deref(), Some("by socket"));
    }

    #[test]
    fn a_file_that_others_may_read_is_not_believed() {
        let file = tempfile::NamedTempFile::new().expect("made");
        std::fs::write(file.path(), "*:*:*:*:p").expect("written");
        let config: Config = "host=db user=u".parse().expect("valid");
        for (mode, expected) in [(0o600, Some("p")), (0o400, Some("p")), (0o640, None), (0o604, None)] {
            std::fs::set_permissions(file.path(), PermissionsExt::from_mode(mode)).expect("set");
            assert_eq!(password(file.path(), &config).as_deref(), expected, "{mode:o}");
        }
        assert_eq!(password(Path::new("/none/such"), &config), None);
    }
}
