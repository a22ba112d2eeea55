"""What every stage stands on: parameters, errors, outputs, tables, parts, parallel work."""
