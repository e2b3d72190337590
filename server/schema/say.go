package schema

import (
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// english words the compiler's complaints about a schema, which is an operator's and no secret.
var english = message.NewPrinter(language.English)

func alternatives(k jsonschema.ErrorKind) bool {
	switch k.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not:
		return true
	}
	return false
}

// sentence says what is wrong, by the schema's words alone. The library's own texts repeat the value.
func sentence(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return "has to be of type " + strings.Join(k.Want, " or ")
	case *kind.Required:
		return "lacks " + strings.Join(k.Missing, ", ")
	case *kind.AdditionalProperties, *kind.FalseSchema:
		return "has what the schema does not name"
	case *kind.MaxLength:
		return fmt.Sprintf("is longer than %d characters", k.Want)
	case *kind.MinLength:
		return fmt.Sprintf("is shorter than %d characters", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has more than %d items", k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("has fewer than %d items", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("has more than %d properties", k.Want)
	case *kind.MinProperties:
		return fmt.Sprintf("has fewer than %d properties", k.Want)
	case *kind.Pattern:
		return "does not match the pattern " + k.Want
	case *kind.Enum, *kind.Const:
		return "is none of the values that are allowed"
	case *kind.AnyOf, *kind.OneOf:
		return "fits none, or too many, of the alternatives"
	case *kind.Not:
		return "is what is excluded"
	}
	if path := k.KeywordPath(); len(path) > 0 {
		return "breaks its rule " + path[0]
	}
	return "does not fit"
}
