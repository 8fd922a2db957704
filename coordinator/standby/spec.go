package standby

import (
	"errors"

	"mahavishnu/fault"
	"mahavishnu/postgres"
)

// Spec says which driver, with which options, as data: it is handed to the watchdog, which
// is another process. Exactly one field is set. It holds no secrets, only where they are.
type Spec struct {
	Postgres *postgres.Options `json:"postgres,omitempty"`
	HTTP     *HTTPOptions      `json:"http,omitempty"`
	Command  *CommandOptions   `json:"command,omitempty"`
}

// Open returns the driver.
func (s Spec) Open() (Driver, error) {
	switch {
	case s.Postgres != nil && s.HTTP == nil && s.Command == nil:
		return NewPostgres(*s.Postgres)
	case s.HTTP != nil && s.Postgres == nil && s.Command == nil:
		return NewHTTP(*s.HTTP)
	case s.Command != nil && s.Postgres == nil && s.HTTP == nil:
		return NewCommand(*s.Command)
	}
	return nil, fault.New("control a service", "", errors.New("exactly one of postgres, http and command must be said"), "")
}
