package messages

// SubjectPlanControl is where the leading coordinator answers requests about
// failover plans, and nobody else does.
const SubjectPlanControl = "dr.control.plans"

// AuditFailover is the topic of audit entries about failover plans.
const AuditFailover = "failover"
