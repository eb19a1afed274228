//! What is kept of deployments from before: reports, events and approvals.

use std::path::Path;

use crate::config::Deployment;
use crate::control::clock;
use crate::error::Failure;
use crate::events::journal;
use crate::events::open_findings::OpenFindings;
use crate::remedy::approvals;
use crate::serve::board::Board;
use crate::serve::deployed::known_targets;
use crate::serve::state::DeploymentState;
use crate::store::state;

/// The moment before which what is over is forgotten, in seconds since 1970.
pub(super) fn oldest(retention_days: u32) -> i64 {
    match retention_days {
        0 => i64::MIN,
        days => clock::unix() - i64::from(days) * 24 * 60 * 60,
    }
}

/// What is kept of a deployment: the newest reports of its places, and what its journal and its open findings are.
pub(super) fn recall(
    deployment: &Deployment,
    store_root: &Path,
) -> Result<(DeploymentState, Board), Failure> {
    let (name, targets) = (&deployment.name, known_targets(deployment, store_root));
    let mut board = Board::default();
    let recalled = journal::each(store_root, &mut |event| board.recall(name, event));
    recalled.map_err(|e| Failure::at(&journal::directory(store_root), &e))?;
    let open = targets.iter().map(|target| OpenFindings::read(store_root, target.as_deref()));
    let open = open.collect::<Result<Vec<_>, _>>();
    board.recall_open(name, &open.map_err(|e| Failure::at(&store_root.join(state::PATH), &e))?);
    recall_approvals(&mut board, name, store_root, &targets);
    Ok((DeploymentState::recall(store_root, &targets), board))
}

/// Takes note of the approvals of repairs that hold.
pub(super) fn recall_approvals(board: &mut Board, deployment: &str, root: &Path, targets: &[Option<String>]) {
    for target in targets {
        match approvals::valid(root, target.as_deref()) {
            Ok(all) => board.recall_approvals(deployment, target.as_deref(), &all),
            // A repair that needs one is refused with the reason.
            Err(error) => log::warn!(deployment, error:%; "approvals cannot be read"),
        }
    }
}
