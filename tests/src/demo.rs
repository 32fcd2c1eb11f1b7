//! The demo: a tour that runs the very commands it prints.

mod place;
mod tour;

use std::time::Instant;

use place::Place;
use tour::{Stop, Tour, say};

use crate::image::{PACKAGES, TARGET};

/// Files that the demo writes into the current folder, for its user to go on with.
const KUBECONFIG: &str = "demo.kubeconfig";
const TOKEN: &str = "demo.token";
/// The hosted cluster, and the machine that joins it.
const CLUSTER: &str = "demo";
const WORKER: &str = "demo-worker";
const SERVICE: &str = "kmc-demo-nodeport";

/// Runs the demo, or with `--down` ends what it started.
///
/// # Errors
/// The step that failed, as a sentence, with the exit code of its command.
pub fn run(mut args: impl Iterator<Item = String>) -> Result<(), Stop> {
    match args.next().as_deref() {
        None => up(),
        Some("--down") => down(),
        Some(other) => Err(Stop::usage(format!(
            "{other} is no flag of the demo; there is --down"
        ))),
    }
}

fn up() -> Result<(), Stop> {
    let started = Instant::now();
    let place = Place::choose()?;
    let mut tour = Tour::new(&place)?;
    say(&place.describe()?);

    tour.step(
        "Build the product",
        &[&format!(
            "cargo build --profile demo --target {TARGET} -p {} --bins",
            PACKAGES.join(" -p ")
        )],
    )?;
    if place.is_new() {
        tour.step(
            "Start a mothership: Kubernetes with one node, here",
            &["mothership up"],
        )?;
        tour.enter(&place)?;
    }
    if place.is_ours() {
        tour.step(
            "Build the product's images and put them on the node",
            &[
                "mothership image load controller",
                "mothership image load webhook",
            ],
        )?;
    }
    tour.step(
        "Install the product",
        &[
            &place.install(),
            "kubectl --namespace k0smotron rollout status deployment/k0smotron-webhook --timeout 3m",
            "kubectl --namespace k0smotron rollout status deployment/k0smotron-controller-manager \
             --timeout 3m",
        ],
    )?;
    tour.step(
        "Create a hosted cluster",
        &[
            &format!("kubectl k0smotron create {CLUSTER} --service NodePort --wait"),
            &format!("kubectl k0smotron status {CLUSTER}"),
        ],
    )?;
    tour.step(
        "Fetch its kubeconfig",
        &[
            &format!("kubectl k0smotron kubeconfig {CLUSTER} --output {KUBECONFIG} --force"),
            &format!("kubectl --kubeconfig {KUBECONFIG} version"),
        ],
    )?;
    if !place.is_ours() {
        return by_hand(&mut tour, started);
    }
    join(&mut tour)?;
    run_a_pod(&mut tour)?;
    look_around(&tour, &place, started);
    Ok(())
}

fn join(tour: &mut Tour) -> Result<(), Stop> {
    tour.step(
        "Make a join token that is good for an hour",
        &[&format!(
            "kubectl k0smotron join {CLUSTER} --ttl 1h -o token > {TOKEN}"
        )],
    )?;
    let ports = tour.ask(&format!(
        "kubectl get service {SERVICE} -o jsonpath='{{.spec.ports[*].nodePort}}'"
    ))?;
    let allow: Vec<String> = ports
        .split_whitespace()
        .map(|port| format!("--allow-port {port}"))
        .collect();
    tour.step(
        "Start a worker machine, with a network of its own that reaches these two ports only",
        &[&format!(
            "mothership worker up {WORKER} --token-file {TOKEN} {}",
            allow.join(" ")
        )],
    )?;
    tour.step(
        "See the node become Ready",
        &[
            &format!(
                "kubectl --kubeconfig {KUBECONFIG} wait --for=create node/{WORKER} --timeout 3m"
            ),
            &format!(
                "kubectl --kubeconfig {KUBECONFIG} wait --for=condition=Ready node/{WORKER} \
                 --timeout 3m"
            ),
            &format!("kubectl --kubeconfig {KUBECONFIG} get nodes --output wide"),
        ],
    )
}

fn run_a_pod(tour: &mut Tour) -> Result<(), Stop> {
    tour.step(
        "Run a pod on it",
        &[
            &format!(
                "kubectl --kubeconfig {KUBECONFIG} run hello --image {} \
                 --image-pull-policy IfNotPresent --restart Never -- \
                 echo 'hello from a pod of a hosted cluster'",
                crate::image::BUSYBOX
            ),
            &format!(
                "kubectl --kubeconfig {KUBECONFIG} wait \
                 --for='jsonpath={{.status.phase}}=Succeeded' pod/hello --timeout 2m"
            ),
        ],
    )?;
    tour.step(
        "Read its log through the hosted API, which reaches the worker by konnectivity only",
        &[&format!("kubectl --kubeconfig {KUBECONFIG} logs hello")],
    )
}

fn by_hand(tour: &mut Tour, started: Instant) -> Result<(), Stop> {
    tour.step(
        "Make a join command that is good for an hour",
        &[&format!("kubectl k0smotron join {CLUSTER} --ttl 1h")],
    )?;
    say(&format!(
        "\nDone in {:.0} s. Run that command as root on a machine that is to be a worker, then:\n  \
         kubectl --kubeconfig {KUBECONFIG} get nodes\n\
         To delete the cluster: make demo-down MOTHERSHIP=current\n\
         To remove the product: make uninstall",
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn look_around(tour: &Tour, place: &Place, started: Instant) {
    say(&format!(
        "\nDone in {:.0} s. To look around, in this folder:\n\n{}\n\
         kubectl get kmc --output wide\n\
         kubectl k0smotron status {CLUSTER}\n\
         kubectl --kubeconfig {KUBECONFIG} get pods --all-namespaces\n\
         mothership status\n\
         mothership worker exec {WORKER} -- sh\n\n\
         To end it: {}",
        started.elapsed().as_secs_f64(),
        tour.exports(),
        place.end()
    ));
}

fn down() -> Result<(), Stop> {
    let place = Place::find()?;
    if place.is_new() && !crate::paths::state()?.exists() {
        say("No mothership runs: there is nothing to end.");
        return Ok(());
    }
    let mut tour = Tour::new(&place)?;
    if place.is_new() {
        tour.step("End the mothership and its workers", &["mothership down"])?;
    } else {
        if place.is_ours() {
            // It may have been ended before.
            let _ = tour.step(
                "End the worker",
                &[&format!("mothership worker down {WORKER}")],
            );
        }
        tour.step(
            "Delete the hosted cluster",
            &[&format!(
                "kubectl k0smotron delete {CLUSTER} --yes --wait --ignore-not-found"
            )],
        )?;
        tour.step(
            "Delete its volumes, which stay so that no data goes by mistake, and let its pods end",
            &[
                &format!(
                    "kubectl delete persistentvolumeclaims --selector \
                     app=k0smotron,cluster={CLUSTER}"
                ),
                &format!(
                    "kubectl wait --for=delete pod --selector app=k0smotron,cluster={CLUSTER} \
                     --timeout 2m"
                ),
            ],
        )?;
    }
    for file in [KUBECONFIG, TOKEN] {
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}
