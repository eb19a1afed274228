//! The Docker engine of this machine: whether one answers.

use std::time::Duration;

use bollard::Docker;

/// How long the engine may take to answer.
const DEADLINE: Duration = Duration::from_secs(3);

/// Asks the engine that `DOCKER_HOST` or the default socket names for its version.
///
/// # Errors
/// Why none answered, in words.
pub fn engine_version() -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let docker = Docker::connect_with_defaults().map_err(|error| error.to_string())?;
        match tokio::time::timeout(DEADLINE, docker.version()).await {
            Ok(Ok(answer)) => Ok(answer.version.unwrap_or_else(|| "unknown version".to_owned())),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
        }
    })
}
