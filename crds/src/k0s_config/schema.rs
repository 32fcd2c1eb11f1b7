//! What k0s reads: the fields of its configuration, as facts.
//!
//! A field without a version has been there since v1.31, before which nothing is known.

use super::text;

/// What a value has to be.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Anything: k0s does not look at it, or never sees what the user wrote.
    Any,
    Bool,
    /// A whole number, within limits.
    Integer(i64, i64),
    Number,
    Text(Text),
    /// A text such as `1h30m`.
    Duration,
    /// The same, or a number of nanoseconds.
    DurationOrNumber,
    /// Keys of the user's.
    Map(&'static Self),
    List(&'static Self),
    Object(&'static [Field]),
}

/// What a text has to be.
#[derive(Clone, Copy)]
pub(super) enum Text {
    Free,
    /// An empty one that is among these counts as left out.
    OneOf(&'static [&'static str]),
    Like(fn(&str) -> bool, &'static str),
    /// The same, never to be shown.
    Secret(fn(&str) -> bool, &'static str),
}

pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// An item without it is refused, and so is an empty one.
    pub(super) required: bool,
    /// k0s goes on without what it does not know from here on, instead of ending over it.
    pub(super) lenient: bool,
    /// The first release of each minor version that has it; minor versions after the last have it.
    pub(super) since: &'static [(u64, u64)],
    /// Where values are looked at: by the object around and k0s' minor version.
    pub(super) counts: fn(&serde_json::Value, u64) -> bool,
}

impl Field {
    const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    const fn lenient(self) -> Self {
        Self {
            lenient: true,
            ..self
        }
    }

    const fn since(self, since: &'static [(u64, u64)]) -> Self {
        Self { since, ..self }
    }

    const fn counts(self, counts: fn(&serde_json::Value, u64) -> bool) -> Self {
        Self { counts, ..self }
    }
}

pub(super) const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: false,
        lenient: false,
        since: &[],
        counts: |_, _| true,
    }
}

pub(super) const INT: Kind = Kind::Integer(i64::MIN, i64::MAX);
pub(super) const INT32: Kind = Kind::Integer(i32::MIN as i64, i32::MAX as i64);
const PORT: Kind = Kind::Integer(1, 65535);
/// Where a zero counts as left out.
const PORT_OR_NONE: Kind = Kind::Integer(0, 65535);
pub(super) const TEXT: Kind = Kind::Text(Text::Free);
pub(super) const TEXTS: Kind = Kind::List(&TEXT);
pub(super) const MAP: Kind = Kind::Map(&TEXT);
const CIDR: Kind = Kind::Text(Text::Like(text::is_cidr, text::CIDR));

const V32: &[(u64, u64)] = &[(32, 0)];
const V33: &[(u64, u64)] = &[(33, 0)];
const V34: &[(u64, u64)] = &[(34, 0)];
const V35: &[(u64, u64)] = &[(35, 0)];
const V36: &[(u64, u64)] = &[(36, 0)];

const EXTRA_ARGS: Field = field("extraArgs", MAP);
const RAW_ARGS: Field = field("rawArgs", TEXTS).since(V34);

/// The whole file.
pub(super) const CONFIG: &[Field] = &[
    // Overwritten by us.
    field("apiVersion", Kind::Any),
    field("kind", Kind::Any),
    field("metadata", Kind::Object(METADATA)),
    field("spec", Kind::Object(SPEC)),
    field("status", Kind::Object(&[])),
];

const METADATA: &[Field] = &[
    field("name", TEXT),
    field("generateName", TEXT),
    field("namespace", TEXT),
    field("selfLink", TEXT),
    field("uid", TEXT),
    field("resourceVersion", TEXT),
    field("generation", INT),
    field("creationTimestamp", TEXT),
    field("deletionTimestamp", TEXT),
    field("deletionGracePeriodSeconds", INT),
    field("labels", MAP),
    field("annotations", MAP),
    field("ownerReferences", Kind::List(&Kind::Map(&Kind::Any))),
    field("finalizers", TEXTS),
    field("managedFields", Kind::List(&Kind::Map(&Kind::Any))),
];

const SPEC: &[Field] = &[
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

pub(super) const PROVIDERS: [&str; 3] = ["kuberouter", "calico", "custom"];
const PULL_POLICIES: [&str; 4] = ["Always", "IfNotPresent", "Never", ""];

const NETWORK: &[Field] = &[
    field("provider", Kind::Text(Text::OneOf(&PROVIDERS))),
    field("podCIDR", CIDR),
    field("serviceCIDR", CIDR),
    field(
        "clusterDomain",
        Kind::Text(Text::Like(text::is_dns_name, text::DNS_NAME)),
    ),
    field(
        "primaryAddressFamily",
        Kind::Text(Text::OneOf(&["IPv4", "IPv6", ""])),
    )
    .since(V34),
    field(
        "dualStack",
        Kind::Object(&[
            field("enabled", Kind::Bool),
            field("IPv6podCIDR", TEXT),
            field("IPv6serviceCIDR", TEXT),
        ]),
    ),
    field("calico", Kind::Object(CALICO)).counts(|network, _| {
        text::get(network, &["provider"]).is_some_and(|provider| provider != "kuberouter")
    }),
    field("kuberouter", Kind::Object(KUBE_ROUTER)).counts(|network, _| {
        text::get(network, &["provider"]).is_none_or(|provider| provider != "calico")
    }),
    field("kubeProxy", Kind::Object(KUBE_PROXY)),
    field("coreDNS", Kind::Object(&[PATCHES])).since(V36),
    field("nodeLocalLoadBalancing", Kind::Object(NODE_LOCAL)),
    field("controlPlaneLoadBalancing", Kind::Object(CONTROL_PLANE)),
];

const CALICO: &[Field] = &[
    field("mode", Kind::Text(Text::OneOf(&["bird", "vxlan", "ipip"]))),
    field("wireguard", Kind::Bool),
    field("envVars", MAP),
    field("flexVolumeDriverPath", TEXT),
    field("ipAutodetectionMethod", TEXT),
    field("ipV6AutodetectionMethod", TEXT),
    field("mtu", INT),
    field("overlay", TEXT),
    field("vxlanPort", INT),
    field("vxlanVNI", INT),
    PATCHES,
];

const KUBE_ROUTER: &[Field] = &[
    field("autoMTU", Kind::Bool),
    field("mtu", INT),
    field("metricsPort", INT),
    field("hairpin", TEXT),
    field("hairpinMode", Kind::Bool),
    field("ipMasq", Kind::Bool),
    field("peerRouterASNs", TEXT),
    field("peerRouterIPs", TEXT),
    EXTRA_ARGS,
    RAW_ARGS,
    PATCHES,
];

const KUBE_PROXY: &[Field] = &[
    field("disabled", Kind::Bool),
    field(
        "mode",
        Kind::Text(Text::OneOf(&["iptables", "ipvs", "nftables", "userspace"])),
    )
    .counts(|proxy, _| runs(proxy)),
    field("metricsBindAddress", HOST_PORT).counts(|proxy, minor| minor >= 36 && runs(proxy)),
    field("healthzBindAddress", HOST_PORT)
        .since(V36)
        .counts(|proxy, _| runs(proxy)),
    field(
        "iptables",
        Kind::Object(&[
            field("masqueradeBit", INT32),
            field("masqueradeAll", Kind::Bool),
            field("localhostNodePorts", Kind::Bool),
            field("syncPeriod", Kind::Duration),
            field("minSyncPeriod", Kind::Duration),
        ]),
    ),
    field(
        "ipvs",
        Kind::Object(&[
            field("syncPeriod", Kind::Duration),
            field("minSyncPeriod", Kind::Duration),
            field("scheduler", TEXT),
            field("excludeCIDRs", TEXTS),
            field("strictARP", Kind::Bool),
            field("tcpTimeout", Kind::Duration),
            field("tcpFinTimeout", Kind::Duration),
            field("udpTimeout", Kind::Duration),
        ]),
    ),
    field(
        "nftables",
        Kind::Object(&[
            field("syncPeriod", Kind::Duration),
            field("masqueradeBit", INT32),
            field("masqueradeAll", Kind::Bool),
            field("minSyncPeriod", Kind::Duration),
        ]),
    ),
    field("nodePortAddresses", TEXTS),
    EXTRA_ARGS,
    RAW_ARGS,
    PATCHES,
];

const HOST_PORT: Kind = Kind::Text(Text::Like(text::is_host_port, text::HOST_PORT));

fn runs(proxy: &serde_json::Value) -> bool {
    text::get(proxy, &["disabled"]) != Some(&serde_json::Value::Bool(true))
}

const PATCHES: Field = field("patches", Kind::List(&Kind::Object(PATCH))).since(V36);
const PATCH: &[Field] = &[
    field("target", Kind::Object(TARGET_FIELDS)).required(),
    field("patch", Kind::Object(CONTENT_FIELDS)).required(),
];
const TARGET_FIELDS: &[Field] = &[
    field("kind", TEXT).required(),
    field("name", TEXT).required(),
    field("namespace", TEXT),
];
const CONTENT_FIELDS: &[Field] = &[
    field(
        "type",
        Kind::Text(Text::OneOf(&["JSON", "StrategicMergePatch", "MergePatch"])),
    )
    .required(),
    field("content", TEXT),
];

const NODE_LOCAL: &[Field] = &[
    field("enabled", Kind::Bool),
    field(
        "type",
        Kind::Text(Text::OneOf(&["EnvoyProxy", "Traefik", ""])),
    ),
    field("envoyProxy", Kind::Object(PROXY)),
    field("traefik", Kind::Object(PROXY)).since(V36),
];

const PROXY: &[Field] = &[
    field(
        "image",
        Kind::Object(&[
            field(
                "image",
                Kind::Text(Text::Like(text::is_trimmed, text::TRIMMED)),
            ),
            field(
                "version",
                Kind::Text(Text::Like(
                    |version| version.is_empty() || text::is_image_version(version),
                    text::IMAGE_VERSION,
                )),
            ),
        ]),
    ),
    field("imagePullPolicy", Kind::Text(Text::OneOf(&PULL_POLICIES))),
    field("apiServerBindPort", PORT_OR_NONE),
    field("konnectivityServerBindPort", PORT),
];

const CONTROL_PLANE: &[Field] = &[
    field("enabled", Kind::Bool),
    field("type", Kind::Text(Text::OneOf(&["Keepalived", ""]))),
    field(
        "keepalived",
        Kind::Object(&[
            field("vrrpInstances", Kind::List(&Kind::Object(VRRP))),
            field("virtualServers", Kind::List(&Kind::Object(VIRTUAL_SERVER))),
            field("userSpaceProxyBindPort", PORT_OR_NONE).since(V32),
            field("disableLoadBalancer", Kind::Bool).since(V32),
            field("configTemplateVRRP", TEXT).since(V35),
            field("configTemplateVS", TEXT).since(V35),
        ]),
    ),
];

const VRRP: &[Field] = &[
    field("virtualIPs", Kind::List(&CIDR)).required(),
    field("interface", TEXT),
    field("virtualRouterID", Kind::Integer(0, 255)),
    field("advertIntervalSeconds", INT32),
    field(
        "authPass",
        Kind::Text(Text::Secret(
            |password| password.len() <= 8,
            "must be no more than 8 bytes",
        )),
    )
    .required(),
    field("unicastPeers", TEXTS).since(V32),
    field("unicastSourceIP", TEXT).since(V32),
    // The last number is reserved.
    field("addressLabel", Kind::Integer(0, u32::MAX as i64 - 1)).since(V34),
];

const VIRTUAL_SERVER: &[Field] = &[
    field("ipAddress", Kind::Text(Text::Like(text::is_ip, text::IP))).required(),
    field("delayLoop", Kind::Duration),
    field(
        "lbAlgo",
        Kind::Text(Text::OneOf(&[
            "rr", "wrr", "lc", "wlc", "lblc", "dh", "sh", "sed", "nq", "",
        ])),
    ),
    field("lbKind", Kind::Text(Text::OneOf(&["NAT", "DR", "TUN", ""]))),
    field("persistenceTimeoutSeconds", Kind::Integer(0, 2_678_400)),
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
