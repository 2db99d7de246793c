//! The run template of schedules and crons: its fields in bodies, and filters by it.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use super::{ApiError, object_text, query};
use crate::engine::{
    driver::Driver,
    state::{
        RunTemplate, State,
        metadata::{NO_METADATA, PairFilter},
    },
    validate::{filter::parse_template_metadata_pair, template::validate_template},
};

/// The fields of a run template in a body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TemplateBody {
    input: Option<Value>,
    additional_metadata: Option<Value>,
    priority: Option<i32>,
}

impl TemplateBody {
    pub(crate) fn template(self, driver: &Driver, workflow: &str) -> Result<RunTemplate, ApiError> {
        let input = object_text("input", self.input)?.unwrap_or_else(|| "{}".into());
        let metadata = object_text("additionalMetadata", self.additional_metadata)?;
        let mut template = validate_template(workflow, &input, metadata.as_deref(), self.priority, driver.max_message)?;
        if metadata.is_none() {
            template.metadata = NO_METADATA.into();
        }
        Ok(template)
    }
}

/// A filter of schedules or crons by their run template. Absent criteria match all.
#[derive(Default)]
pub(crate) struct TemplateFilter {
    workflow: Option<Uuid>,
    workflow_name: Option<String>,
    metadata: PairFilter,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TemplateFilterBody {
    workflow_id: Option<Uuid>,
    additional_metadata: Option<Vec<String>>,
    parent_workflow_run_id: Option<Box<RawValue>>,
    parent_step_run_id: Option<Box<RawValue>>,
}

impl TryFrom<TemplateFilterBody> for TemplateFilter {
    type Error = ApiError;

    fn try_from(body: TemplateFilterBody) -> Result<Self, ApiError> {
        if body.parent_workflow_run_id.is_some() || body.parent_step_run_id.is_some() {
            return Err(query::unknown("parent (schedules have none)"));
        }
        let pairs = body.additional_metadata.unwrap_or_default();
        let metadata = pairs.iter().map(|pair| parse_template_metadata_pair(pair)).collect::<Result<_, _>>()?;
        Ok(Self { workflow: body.workflow_id, workflow_name: None, metadata })
    }
}

impl TemplateFilter {
    /// Parses a parameter; refuses an unknown one.
    pub(crate) fn parse(&mut self, key: &str, value: String) -> Result<(), ApiError> {
        match key {
            "workflowId" => self.workflow = Some(query::parse(key, &value)?),
            "workflowName" => self.workflow_name = Some(value),
            "additionalMetadata" => self.metadata.add(parse_template_metadata_pair(&value)?),
            other => return Err(query::unknown(other)),
        }
        Ok(())
    }

    pub(crate) fn matches(&self, state: &State, template: &RunTemplate) -> bool {
        self.workflow.is_none_or(|id| state.version_of(&template.workflow).is_some_and(|v| v.workflow_id == id))
            && self.workflow_name.as_deref().is_none_or(|name| name == &*template.workflow)
            && self.metadata.matches_all(&template.metadata)
    }
}
