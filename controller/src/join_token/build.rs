//! The Secret with the token.

use std::collections::BTreeMap;

use crds::v1beta2::JoinTokenRequest;
use crds::{labels, names};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use pki::token::{JoinToken, TokenError, TokenId, TokenSecret};
use serde_json::json;

use super::validate::ValidRequest;
use crate::apply::desired::{Content, Desired, Inputs};
use crate::kubernetes::store::{Kind, digest};

/// What a token is made from.
#[derive(Clone, Debug)]
pub struct Recipe {
    id: String,
    server: String,
    role: &'static str,
    certificate: String,
}

impl Inputs for Recipe {
    fn digest(&self) -> String {
        let inputs = json!([self.id, self.server, self.role, self.certificate]);
        digest(inputs.to_string().as_bytes())
    }

    fn keys(&self) -> &'static [&'static str] {
        &[names::TOKEN_KEY]
    }
}

/// The Secret, named like the request.
pub fn secret(request: &JoinTokenRequest, valid: &ValidRequest, id: &TokenId) -> Desired<Recipe> {
    let recipe = Recipe {
        id: id.as_str().to_owned(),
        server: valid.server.clone(),
        role: valid.role.user(),
        certificate: valid.reach.certificate.clone(),
    };
    let name = request.name_any();
    let labels = labels::join_token(
        &request.spec.cluster_name,
        request.spec.role.as_str(),
        &name,
        Some(request.labels()),
    );
    Desired::new(
        Kind::Secret,
        Secret {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: request.namespace(),
                labels: Some(labels),
                owner_references: request.controller_owner_ref(&()).map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            type_: Some(names::TOKEN_SECRET_TYPE.to_owned()),
            ..Secret::default()
        },
        Content::Made(recipe),
    )
}

/// Its data.
pub fn data(
    valid: &ValidRequest,
    id: &TokenId,
    secret: TokenSecret,
) -> Result<BTreeMap<String, String>, TokenError> {
    let token = JoinToken {
        role: valid.role,
        server: valid.server.clone(),
        ca_certificate: valid.reach.certificate.clone(),
        id: id.clone(),
        secret,
    };
    Ok(BTreeMap::from([(
        names::TOKEN_KEY.to_owned(),
        token.encode()?.expose().to_owned(),
    )]))
}
