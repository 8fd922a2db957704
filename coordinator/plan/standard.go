package plan

// Parameters that many have.
var (
	serviceParam = Param{Name: "service", Type: TypeService, About: "the service"}
	memberParam  = Param{Name: "member", Type: TypeMember, About: "one of its members"}
	regionParam  = Param{Name: "region", Type: TypeRegion, About: "the region"}
)

// actionNotify tells people something; what it told is its output.
const actionNotify = "notify"

// Standard returns a registry with everything that plans may use, bound to nothing.
func Standard() *Registry {
	r := NewRegistry()
	for _, d := range standardActions() {
		d.Changes = true
		r.Define(d)
	}
	for _, d := range standardConditions() {
		r.Define(d)
	}
	return r
}

func standardActions() []Definition {
	from := Param{Name: "from", Type: TypeRegion, About: "the region that is left"}
	to := Param{Name: "to", Type: TypeRegion, About: "the region that takes over"}
	return []Definition{
		{
			Name: "fence", Params: []Param{serviceParam, memberParam},
			Summary: "Stop $member of $service at once, so that it takes no more writes. One that cannot be reached stops itself when it cannot renew its lease.",
			ByHand:  "On $member, stop $service at once (for PostgreSQL: pg_ctl stop -m immediate). When the machine cannot be reached, cut its power or its network: nothing may go on before it is certain that it takes no writes.",
		},
		{
			Name: "promote", Params: []Param{serviceParam, memberParam},
			Summary: "Make $member the primary of $service. It first wins the lease of the service, which it cannot while another member may still write.",
			ByHand:  "Be certain that no other member takes writes. Then, on $member: pg_ctl promote, or what the service has for it.",
		},
		{
			Name: "demote", Params: []Param{serviceParam, memberParam},
			Summary: "Stop $member of $service in good order: it finishes what it began, sends the last of it to its standbys, and gives up the lease.",
			ByHand:  "On $member, stop $service in good order (for PostgreSQL: pg_ctl stop -m fast), and see that the standby has all of it.",
		},
		{
			Name: "rejoin", Params: []Param{serviceParam, memberParam, {Name: "primary", Type: TypeMember, About: "whom it follows"}},
			Summary: "Make $member of $service follow $primary again, going back over what $primary never had.",
			ByHand:  "On $member: pg_rewind from $primary, then start it as a standby; when that cannot be done, take a new base backup.",
		},
		{
			Name: "route", Params: []Param{serviceParam, memberParam},
			Summary: "Lead clients of $service to $member: name records, fronts and hooks.",
			ByHand:  "Point the name and the fronts of $service to $member.",
		},
		{
			Name: "move_services", Params: []Param{from, to},
			Summary: "Promote, in $to, every service whose primary is in $from, each once its lease is free, and lead its clients there.",
			ByHand:  "For each service with its primary in $from: mahavishnu failover execute single_server_failure --set service=NAME --set to=MEMBER",
		},
		{
			Name: "return_services", Params: []Param{from, to},
			Summary: "Lead every service that move_services moved from $from to $to back, in good order: follow, catch up, change places.",
			ByHand:  "For each service that moved: mahavishnu failover execute single_server_failure --graceful --set service=NAME --set to=MEMBER",
		},
		{
			Name: "pause_schedules", Params: []Param{regionParam},
			Summary: "Make no new jobs for $region.",
			ByHand:  "Stop the workers of $region, or take its sources out of the schedules.",
		},
		{
			Name: "resume_schedules", Params: []Param{regionParam},
			Summary: "Make jobs for $region again.",
			ByHand:  "Start the workers of $region, or put its sources back into the schedules.",
		},
		{
			Name: "move_workers", Params: []Param{from, to},
			Summary: "Have workers of $to take the jobs of $from.",
			ByHand:  "Start workers with --region $from on machines in $to.",
		},
		{
			Name: "return_workers", Params: []Param{from, to},
			Summary: "Have workers of $to take the jobs of $from no longer.",
			ByHand:  "Stop the workers with --region $from on machines in $to.",
		},
		{
			Name: "promote_repository", Params: []Param{from, to},
			Summary: "Make the copy in $to of the repository of $from the primary; the old one refuses backups as soon as it sees that.",
			ByHand:  "mahavishnu replication promote $from@$to --reason failover",
		},
		{
			Name: "failback_repository", Params: []Param{from, to},
			Summary: "Copy back what the repository in $to was given meanwhile, and make that of $from the primary again.",
			ByHand:  "mahavishnu replication failback $from@$to",
		},
		{
			Name: actionNotify, Params: []Param{{Name: "text", Type: TypeText, About: "what people are told"}},
			Summary: "Tell people: $text",
			ByHand:  "Tell those concerned: $text",
		},
	}
}

func standardConditions() []Definition {
	lag := Param{Name: "lag", Type: TypeDuration, About: "how far behind it may be at most"}
	return []Definition{
		{
			Name:    "quorum",
			Summary: "This side hears the coordinators of most regions.",
			ByHand:  "See who hears whom: mahavishnu failover status. The side with most regions goes on; the other does nothing.",
		},
		{
			Name: "member_down", Params: []Param{serviceParam, memberParam},
			Summary: "Most regions say that $member of $service is down, or nobody has held the lease of $service for so long that whoever did has been stopped.",
			ByHand:  "Look at $member from two places that share no cable.",
		},
		{
			Name: "keeper_answers", Params: []Param{serviceParam, memberParam},
			Summary: "The keeper of $member of $service answers.",
			ByHand:  "mahavishnu failover status; where it is silent, run mahavishnu coordinator on the node of $member.",
		},
		{
			Name: "region_down", Params: []Param{regionParam},
			Summary: "Most regions say that $region is down.",
			ByHand:  "Look at $region from two other regions, and ask its people.",
		},
		{
			Name: "region_up", Params: []Param{regionParam},
			Summary: "The coordinators of $region are heard again.",
			ByHand:  "mahavishnu failover status",
		},
		{
			Name: "wait_lease", Params: []Param{
				serviceParam,
				{Name: "holder", Type: TypeMember, Optional: true, About: "who must hold it"},
				{Name: "state", Type: TypeText, Optional: true, Default: "free", Choices: []string{"free", "held"}, About: "what is waited for"},
			},
			Summary: "The lease of $service is $state: while another member holds it, it may still write.",
			ByHand:  "mahavishnu failover status shows who holds it. Never delete it: it lapses by itself once its holder has stopped.",
		},
		{
			Name: "no_primary_yet", Params: []Param{serviceParam},
			Summary: "No member of $service was ever its primary.",
			ByHand:  "mahavishnu failover status shows nobody who holds the lease of $service, and those who run it know of nobody who ever took writes.",
		},
		{
			Name: "probe", Params: []Param{
				serviceParam,
				{Name: "member", Type: TypeMember, Optional: true, About: "which; without it, whom clients are led to"},
				{Name: "writable", Type: TypeBoolean, Optional: true, Default: "true", About: "whether it must take writes"},
			},
			Summary: "$service answers, and takes writes.",
			ByHand:  "Connect as a client does, and write something.",
		},
		{
			Name: "region_serves", Params: []Param{
				{Name: "from", Type: TypeRegion, About: "the region that services left"},
				{Name: "to", Type: TypeRegion, About: "the region that they moved to"},
			},
			Summary: "Every service that left $from for $to answers there, and takes writes.",
			ByHand:  "Connect to each service that moved as a client does, and write something.",
		},
		{
			Name: "caught_up", Params: []Param{serviceParam, memberParam, lag},
			Summary: "$member of $service is at most $lag behind.",
			ByHand:  "On the primary, look at pg_stat_replication, or what the service has for it.",
		},
		{
			Name: "repository_current", Params: []Param{
				{Name: "from", Type: TypeRegion, About: "the region of the primary"},
				{Name: "to", Type: TypeRegion, About: "the region of the copy"},
				lag,
			},
			Summary: "The copy in $to of the repository of $from is at most $lag behind.",
			ByHand:  "mahavishnu replication status",
		},
	}
}
