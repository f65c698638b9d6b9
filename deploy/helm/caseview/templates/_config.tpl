{{- /* The file of options that CASEVIEW_CONFIG names, and checksums. */ -}}

{{- /* A value as text: numbers without exponent, on and off for flags. Takes {name, value}. */ -}}
{{- define "caseview.text" -}}
{{- $text := .value | toString -}}
{{- if kindIs "bool" .value -}}
{{- $text = ternary "on" "off" .value -}}
{{- else if and (kindIs "float64" .value) (eq (floor .value) .value) -}}
{{- $text = .value | int64 | toString -}}
{{- end -}}
{{- if or (regexMatch "(^|\\s)#" $text) (regexMatch "[\\r\\n]" $text) -}}
{{- fail (printf "%s: its value would not survive the file of options: it has a line break, or a # after a blank" .name) -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{- /* Options that have a value of their own in the chart, with its name. As YAML. */ -}}
{{- define "caseview.typedOptions" -}}
database: database
kafka: kafka.bootstrapServers and kafka.properties
case-topic: kafka.topics.case
agent-topic: kafka.topics.agent
directory-topic: kafka.topics.directory
schema-dir: schemasConfigMap
schema-registry: schemaRegistry
ca-file: ca
generation: worker.generation or rebuild.generation
group-id: kafka.groupPrefix
group-instance-id: worker.staticMembership
leave-group: worker.leaveGroup
admin-listen: network.listenHost
listen: network.listenHost
tls-certificate: api.tls
issuer: api.issuers
audience: api.audiences
jwks: api.jwks
bulk-rate: rebuild.bulkRate
drain-delay-s: api.drainDelaySeconds
{{- end -}}

{{- /* Options of the free maps, as YAML: the common ones, and over them the component's. Takes {root, name, config}. */ -}}
{{- define "caseview.freeOptions" -}}
{{- $typed := include "caseview.typedOptions" . | fromYaml -}}
{{- $options := dict -}}
{{- range $where, $map := dict "config" .root.Values.config .name .config -}}
{{- range $name, $value := $map -}}
{{- with index $typed $name -}}
{{- fail (printf "%s.%s: this option is set by the value %s" $where $name .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $map := list .root.Values.config .config -}}
{{- range $name, $value := $map -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $options $name (include "caseview.text" (dict "name" $name "value" $value)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $options -}}
{{- end -}}

{{- /* Lines of the free options. */ -}}
{{- define "caseview.freeLines" -}}
{{- range $name, $value := include "caseview.freeOptions" . | fromYaml }}
{{ $name }} = {{ $value }}
{{- end }}
{{- end -}}

{{- /* Lines of the properties of Kafka, without secrets. */ -}}
{{- define "caseview.kafkaLines" -}}
{{- $kafka := .Values.kafka -}}
{{- $properties := dict "bootstrap.servers" $kafka.bootstrapServers -}}
{{- $sasl := ne $kafka.sasl.mechanism "" -}}
{{- if $sasl -}}
{{- $_ := set $properties "sasl.mechanisms" $kafka.sasl.mechanism -}}
{{- end -}}
{{- if or $sasl $kafka.tls.enabled -}}
{{- $_ := set $properties "security.protocol" (ternary (ternary "SASL_SSL" "SASL_PLAINTEXT" $kafka.tls.enabled) "SSL" $sasl) -}}
{{- end -}}
{{- if or $kafka.tls.ca.secret $kafka.tls.ca.configMap -}}
{{- $_ := set $properties "ssl.ca.location" (printf "/etc/caseview/kafka-ca/%s" $kafka.tls.ca.key) -}}
{{- end -}}
{{- if $kafka.tls.certificateSecret -}}
{{- $_ := set $properties "ssl.certificate.location" (printf "/etc/caseview/kafka-certificate/%s" $kafka.tls.certificateKey) -}}
{{- $_ := set $properties "ssl.key.location" (printf "/etc/caseview/kafka-certificate/%s" $kafka.tls.privateKeyKey) -}}
{{- end -}}
{{- range $name, $value := $kafka.properties -}}
{{- if hasKey $properties $name -}}
{{- fail (printf "kafka.properties: %s is set by the other values of kafka" $name) -}}
{{- end -}}
{{- if regexMatch "password|\\.pem$|^sasl\\.username$|client\\.secret|^sasl\\.jaas" $name -}}
{{- $variable := $name | upper | replace "." "_" -}}
{{- fail (printf "kafka.properties: %s is a secret: use kafka.sasl, kafka.tls, or extraEnv with a secretKeyRef (CASEVIEW_KAFKA_%s)" $name $variable) -}}
{{- end -}}
{{- $value = kindIs "bool" $value | ternary (toString $value) $value -}} {{- /* the client knows true and false only */ -}}
{{- $_ := set $properties $name (include "caseview.text" (dict "name" (printf "kafka.properties.%s" $name) "value" $value)) -}}
{{- end -}}
{{- range $name, $value := $properties }}
kafka = {{ $name }}={{ $value }}
{{- end }}
{{- end -}}

{{- /* The file of workers, rebuild commands and checks. Takes {root, name, config, bulkRate}. */ -}}
{{- define "caseview.workerConfig" -}}
{{- $values := .root.Values -}}
{{- include "caseview.kafkaLines" .root | trim }}
case-topic = {{ $values.kafka.topics.case }}
agent-topic = {{ $values.kafka.topics.agent }}
directory-topic = {{ $values.kafka.topics.directory }}
{{- with $values.schemaRegistry.url }}
schema-registry = {{ . }}
{{- end }}
{{- with $values.schemasConfigMap }}
schema-dir = /etc/caseview/schemas
{{- end }}
{{- include "caseview.caLine" .root }}
{{- if .bulkRate }}
bulk-rate = {{ .bulkRate | int64 }}
{{- end }}
{{- include "caseview.freeLines" . }}
{{- end -}}

{{- define "caseview.apiConfig" -}}
{{- $api := .Values.api -}}
listen = {{ .Values.network.listenHost }}:8080
issuer = {{ join "," $api.issuers }}
audience = {{ join "," $api.audiences }}
jwks = {{ $api.jwks.url | default (printf "/etc/caseview/jwks/%s" $api.jwks.key) }}
drain-delay-s = {{ $api.drainDelaySeconds | int64 }}
{{- if $api.tls.existingSecret }}
tls-certificate = /etc/caseview/tls/{{ $api.tls.key }}
{{- end }}
{{- include "caseview.caLine" . }}
{{- include "caseview.freeLines" (dict "root" . "name" "api.config" "config" $api.config) }}
{{- end -}}

{{- define "caseview.caLine" -}}
{{- if or .Values.ca.secret .Values.ca.configMap }}
ca-file = /etc/caseview/ca/{{ .Values.ca.key }}
{{- end }}
{{- end -}}

{{- /*
Checksum of Secrets and ConfigMaps that a program reads only at its start, "" when there are none or the cluster is not asked (helm
template). Takes {root, secrets, configMaps}: names, empty ones are left out.
*/ -}}
{{- define "caseview.outsideChecksum" -}}
{{- $found := dict -}}
{{- if .root.Values.rollOnSecretChange -}}
{{- range $kind, $names := dict "Secret" .secrets "ConfigMap" .configMaps -}}
{{- range $name := $names | compact | uniq -}}
{{- $object := lookup "v1" $kind $.root.Release.Namespace $name -}}
{{- if $object -}}
{{- $_ := set $found (printf "%s/%s" $kind $name) (list ($object.data | default dict) ($object.binaryData | default dict)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $found -}}
{{- toJson $found | sha256sum -}}
{{- end -}}
{{- end -}}
