package messages

import (
	"encoding/json"
	"fmt"

	"github.com/invopop/jsonschema"
)

// Schema returns the JSON Schema (draft 2020-12) of a kind's payload,
// generated from the types that Parse fills.
func Schema(k Kind) ([]byte, error) {
	spec := NewSpec(k)
	if spec == nil {
		return nil, refuseKind(string(k))
	}
	reflector := jsonschema.Reflector{
		Anonymous: true, DoNotReference: true, ExpandedStruct: true,
		RequiredFromJSONSchemaTags: true,
	}
	s := reflector.Reflect(spec)
	shared := reflector.Reflect(&Envelope{})
	for p := shared.Properties.Oldest(); p != nil; p = p.Next() {
		s.Properties.Set(p.Key, p.Value)
	}
	s.Title = string(k) + " job"
	s.Description = "Payload of a message on dr.jobs." + string(k) + ".REGION"
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", k, err)
	}
	return append(out, '\n'), nil
}
