//! What k0s reads: the fields of its configuration, as facts.
//!
//! A field without a version has been there since v1.31, before which nothing is known.

use super::kind::{
    EXTRA_ARGS, Field, INT, Kind, MAP, PORT, PORT_OR_NONE, RAW_ARGS, TEXT, TEXTS, Text, V33, V34,
    V35, V36, field,
};
use super::network::{NETWORK, PATCHES, PULL_POLICIES};
use super::text;

/// The whole file.
pub(super) const CONFIG: &[Field] = &[
    // Overwritten by us.
    field("apiVersion", Kind::Any),
    field("kind", Kind::Any),
    field("metadata", Kind::Object(METADATA)),
    field("spec", Kind::Object(SPEC)),
    field("status", Kind::Object(&[])),
];

const TIME: Kind = Kind::Text(Text::Like(text::is_time, text::TIME));

const METADATA: &[Field] = &[
    field("name", TEXT),
    field("generateName", TEXT),
    field("namespace", TEXT),
    field("selfLink", TEXT),
    field("uid", TEXT),
    field("resourceVersion", TEXT),
    field("generation", INT),
    field("creationTimestamp", TIME),
    field("deletionTimestamp", TIME),
    field("deletionGracePeriodSeconds", INT),
    field("labels", MAP),
    field("annotations", MAP),
    field("ownerReferences", Kind::List(&Kind::Map(&Kind::Any))),
    field("finalizers", TEXTS),
    field("managedFields", Kind::List(&Kind::Map(&Kind::Any))),
];

const SPEC: &[Field] = &[
    // Of earlier days: let pass, and without effect.
    field("podSecurityPolicy", Kind::Any),
    field("api", Kind::Object(API)).lenient(),
    field("controllerManager", Kind::Object(COMPONENT)),
    field("scheduler", Kind::Object(COMPONENT)),
    field("storage", Kind::Object(STORAGE)).lenient(),
    field("network", Kind::Object(NETWORK)).lenient(),
    field("workerProfiles", Kind::List(&Kind::Object(PROFILE))),
    field("telemetry", Kind::Object(&[field("enabled", Kind::Bool)])),
    field(
        "installConfig",
        Kind::Object(&[field("users", Kind::Object(USERS))]),
    ),
    field("images", Kind::Object(IMAGES)).lenient(),
    field("extensions", Kind::Object(EXTENSIONS)),
    field("konnectivity", Kind::Object(KONNECTIVITY)),
    field("featureGates", Kind::List(&Kind::Object(FEATURE_GATE))),
    field("metricsServer", Kind::Object(&[PATCHES])).since(V36),
];

const COMPONENT: &[Field] = &[EXTRA_ARGS, RAW_ARGS];

const API: &[Field] = &[
    // Overwritten by us, or taken out.
    field("address", Kind::Any),
    field("onlyBindToAddress", Kind::Any),
    field("port", Kind::Any),
    field("externalAddress", TEXT),
    EXTRA_ARGS,
    RAW_ARGS,
    field("k0sApiPort", PORT_OR_NONE),
    field(
        "sans",
        Kind::List(&Kind::Text(Text::Like(text::is_host, text::HOST))),
    ),
    field("ca", Kind::Object(CA)).since(V33),
];

const CA: &[Field] = &[
    field("expiresAfter", Kind::Duration),
    field("certificatesExpireAfter", Kind::Duration),
];

const STORAGE: &[Field] = &[
    // Overwritten by us.
    field("type", Kind::Any),
    field(
        "etcd",
        Kind::Object(&[
            field("externalCluster", Kind::Map(&Kind::Any)),
            field("peerAddress", TEXT),
            EXTRA_ARGS,
            RAW_ARGS,
            field("ca", Kind::Object(CA)).since(V33),
        ]),
    ),
    field(
        "kine",
        Kind::Object(&[
            field("dataSource", TEXT),
            field("extraArgs", MAP).since(V35),
            field("rawArgs", TEXTS).since(V35),
        ]),
    ),
];

const KONNECTIVITY: &[Field] = &[
    field("adminPort", PORT),
    // Overwritten by us.
    field("agentPort", Kind::Any),
    field("externalAddress", TEXT).since(&[(31, 13), (32, 10), (33, 6)]),
];

const USERS: &[Field] = &[
    field("etcdUser", TEXT),
    field("kineUser", TEXT),
    field("konnectivityUser", TEXT),
    field("kubeAPIserverUser", TEXT),
    field("kubeSchedulerUser", TEXT),
];

const FEATURE_GATE: &[Field] = &[
    field("name", TEXT).required(),
    field("enabled", Kind::Bool),
    field("components", TEXTS),
];

const PROFILE: &[Field] = &[
    field("name", Kind::Text(Text::Like(text::is_label, text::LABEL)))
        .required()
        .counts(|_, minor| minor >= 34),
    field("values", Kind::Map(&Kind::Any)),
];

const IMAGE: Kind = Kind::Object(&[
    field(
        "image",
        Kind::Text(Text::Like(
            |image| !image.is_empty() && text::is_trimmed(image),
            text::TRIMMED,
        )),
    ),
    field(
        "version",
        Kind::Text(Text::Like(text::is_image_version, text::IMAGE_VERSION)),
    ),
]);

/// Images, of which none may be null where there is a repository for all of them.
pub(super) const IMAGES: &[Field] = &[
    field("konnectivity", IMAGE),
    field("pushgateway", IMAGE),
    field("metricsserver", IMAGE),
    field("kubeproxy", IMAGE),
    field("coredns", IMAGE),
    field("pause", IMAGE),
    field(
        "windows",
        Kind::Object(&[field("kubeproxy", IMAGE), field("pause", IMAGE)]),
    )
    .since(V34),
    field(
        "calico",
        Kind::Object(&[
            field("cni", IMAGE),
            field("node", IMAGE),
            field("kubecontrollers", IMAGE),
            field(
                "windows",
                Kind::Object(&[field("cni", IMAGE), field("node", IMAGE)]),
            )
            .since(V34),
        ]),
    ),
    field(
        "kuberouter",
        Kind::Object(&[field("cni", IMAGE), field("cniInstaller", IMAGE)]),
    ),
    field("repository", TEXT),
    field(
        "default_pull_policy",
        Kind::Text(Text::OneOf(&PULL_POLICIES)),
    ),
];

const EXTENSIONS: &[Field] = &[
    field(
        "storage",
        Kind::Object(&[
            field("type", TEXT),
            field("create_default_storage_class", Kind::Bool),
        ]),
    ),
    field(
        "helm",
        Kind::Object(&[
            field("concurrencyLevel", INT),
            field("repositories", Kind::List(&Kind::Object(REPOSITORY))),
            field("charts", Kind::List(&Kind::Object(CHART))),
        ]),
    ),
];

const REPOSITORY: &[Field] = &[
    field("name", TEXT).required(),
    field("url", TEXT).required(),
    field("insecure", Kind::Bool),
    field("caFile", TEXT),
    field("certFile", TEXT),
    field("keyfile", TEXT),
    field("username", TEXT),
    field("password", TEXT),
];

const CHART: &[Field] = &[
    field(
        "name",
        Kind::Text(Text::Like(text::is_release_name, text::RELEASE_NAME)),
    )
    .required(),
    field("chartname", TEXT).required(),
    field("version", TEXT),
    field("values", TEXT),
    field("namespace", TEXT).required(),
    field("timeout", Kind::DurationOrNumber),
    field("forceUpgrade", Kind::Bool),
    field("order", INT),
];
