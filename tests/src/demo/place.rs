//! Where the demo takes place.

use std::path::PathBuf;

use crate::components::K0sVersion;
use crate::demo::tour::Stop;
use crate::image::{Image, K0s};
use crate::state::{Level, State};
use crate::{full, machine, paths};

/// Where the demo takes place.
#[derive(Debug)]
pub(super) enum Place {
    /// A mothership of its own in the harness's usual folder.
    New,
    /// A full mothership of the harness that `KUBECONFIG` leads to, and its folder.
    Running(PathBuf),
    /// Somebody's cluster.
    Foreign,
}

impl Place {
    /// Reads `MOTHERSHIP` and `KUBECONFIG`, and checks what a new mothership would need.
    pub(super) fn choose() -> Result<Self, Stop> {
        let place = Self::find()?;
        if place.is_new() {
            full::check(&[&Image::BASIC[..], &Image::PRODUCT].concat())?;
            let dir = paths::state()?;
            machine::check_place(&dir)?;
            if State::read(&dir).is_ok() {
                return Err(Stop::usage(
                    "a mothership runs already, or the last one left things behind; end it with \
                     `make demo-down`, or use it: KUBECONFIG=$(cargo run -q -p mothership -- \
                     kubeconfig) make demo MOTHERSHIP=current",
                ));
            }
        }
        Ok(place)
    }

    /// The same without the checks, for ending it.
    pub(super) fn find() -> Result<Self, Stop> {
        match std::env::var("MOTHERSHIP").unwrap_or_default().as_str() {
            "" | "new" => Ok(Self::New),
            "current" => Self::current(),
            other => Err(Stop::usage(format!(
                "MOTHERSHIP={other} is unknown; leave it out, or say MOTHERSHIP=current"
            ))),
        }
    }

    fn current() -> Result<Self, Stop> {
        let Some(file) = std::env::var_os("KUBECONFIG").filter(|file| !file.is_empty()) else {
            return Err(Stop::usage(
                "MOTHERSHIP=current needs KUBECONFIG to name the kubeconfig of your cluster",
            ));
        };
        let file = PathBuf::from(file);
        let file = file
            .canonicalize()
            .map_err(|error| Stop::usage(format!("KUBECONFIG {}: {error}", file.display())))?;
        let ours = file.ancestors().skip(1).take(3).find(|folder| {
            State::read(folder).is_ok_and(|state| matches!(state.level, Level::Full))
        });
        Ok(ours.map_or(Self::Foreign, |folder| Self::Running(folder.to_owned())))
    }

    /// Whether the demo starts it, and so may end it.
    pub(super) fn is_new(&self) -> bool {
        matches!(self, Self::New)
    }

    /// Whether images and worker machines can be put there.
    pub(super) fn is_ours(&self) -> bool {
        !matches!(self, Self::Foreign)
    }

    /// The state folder, where there is one.
    pub(super) fn dir(&self) -> Result<Option<PathBuf>, Stop> {
        Ok(match self {
            Self::New => Some(paths::state()?),
            Self::Running(dir) => Some(dir.clone()),
            Self::Foreign => None,
        })
    }

    fn registry() -> Option<String> {
        std::env::var("REGISTRY")
            .ok()
            .filter(|registry| !registry.is_empty())
    }

    /// The command that installs the product there.
    pub(super) fn install(&self) -> String {
        match Self::registry() {
            Some(registry) if !self.is_ours() => format!("make install REGISTRY={registry}"),
            _ => "kubectl apply --server-side --filename deploy/install.yaml".to_owned(),
        }
    }

    /// The command that ends the demo.
    pub(super) fn end(&self) -> &'static str {
        if self.is_new() {
            "make demo-down"
        } else {
            "make demo-down MOTHERSHIP=current"
        }
    }

    /// What a user should know before it starts.
    pub(super) fn describe(&self) -> Result<String, Stop> {
        if !self.is_ours() {
            let [controller, webhook] = match Self::registry() {
                Some(registry) => Image::PRODUCT.map(|image| {
                    let version = env!("CARGO_PKG_VERSION");
                    format!("{registry}/{}:{version}", image.name())
                }),
                None => [Image::Controller.reference()?, Image::Webhook.reference()?],
            };
            return Ok(format!(
                "Using the cluster of KUBECONFIG. It must be able to pull {controller}\n\
                 and {webhook}\n\
                 (no image is published; REGISTRY= names another place for it), the k0s image \
                 and the etcd image from quay.io/k0sproject."
            ));
        }
        let release = K0s::release(K0sVersion::Current)?;
        Ok(match std::env::var("K0S_BIN") {
            Ok(program) if !program.is_empty() => {
                format!(
                    "Hosted control planes and workers run the real k0s {release} of {program}."
                )
            }
            _ => format!(
                "Hosted control planes and workers run this project's STAND-IN for k0s {release}:\n\
                 real etcd, kube-apiserver, kubelet, containerd and konnectivity, put together by \
                 a test program.\nK0S_BIN=/path/to/k0s make demo runs a real k0s."
            ),
        })
    }
}
