package config

// Finding is the result of one check of a set-up.
type Finding struct {
	// Check names what was looked at: "key ring", "storage".
	Check string
	// OK reports that nothing is wrong.
	OK bool
	// Cause says what is wrong, as a sentence; what was found when OK.
	Cause string
	// Fix is the command or the change that mends it; empty when OK.
	Fix string
}
