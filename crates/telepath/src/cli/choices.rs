//! The values that flags accept where the domain has a closed set of names, so that help texts list them and a misspelled value
//! is refused before anything is sent.

use clap::builder::PossibleValuesParser;
use telepath_core::alert::{AlertRule, AlertStatus, AlertTestKind};
use telepath_core::analytics::CallGrouping;
use telepath_core::audit::AuditAction;
use telepath_core::call::{CALL_SORTS, CallStatus, DisconnectReason};
use telepath_core::key::{KEY_SORTS, KeyStatus, Preset};
use telepath_core::scope::Scope;
use telepath_core::secret::KeyMode;
use telepath_core::stream::StreamKind;
use telepath_core::trunk::{AgentProtocol, AiProvider, SrtpMode, TrunkStatus};
use telepath_core::user::Role;
use telepath_core::webhook::SignatureScheme;
use telepath_core::webhook::delivery::DeliveryStatus;

/// Defines a function for each set.
macro_rules! choices {
    ($($function:ident = $set:ident;)+) => {$(
        pub(crate) fn $function() -> PossibleValuesParser {
            PossibleValuesParser::new($set::ALL.iter().map(|value| value.name()))
        }
    )+};
}

choices! {
    presets = Preset;
    scopes = Scope;
    roles = Role;
    key_modes = KeyMode;
    key_statuses = KeyStatus;
    call_groupings = CallGrouping;
    call_statuses = CallStatus;
    disconnect_reasons = DisconnectReason;
    stream_kinds = StreamKind;
    trunk_statuses = TrunkStatus;
    ai_providers = AiProvider;
    agent_protocols = AgentProtocol;
    alert_rules = AlertRule;
    alert_statuses = AlertStatus;
    alert_test_kinds = AlertTestKind;
    audit_actions = AuditAction;
    delivery_statuses = DeliveryStatus;
    signature_schemes = SignatureScheme;
    srtp_modes = SrtpMode;
}

/// The orders of a list of keys.
pub(crate) fn key_sorts() -> PossibleValuesParser {
    PossibleValuesParser::new(KEY_SORTS)
}

/// The orders of a list of calls.
pub(crate) fn call_sorts() -> PossibleValuesParser {
    PossibleValuesParser::new(CALL_SORTS)
}

/// The presets that an account can edit.
pub(crate) fn editable_presets() -> PossibleValuesParser {
    let editable = Preset::ALL.iter().filter(|preset| **preset != Preset::Custom);
    PossibleValuesParser::new(editable.map(|preset| preset.name()))
}
