{{- define "keepwell.labels" -}}
app.kubernetes.io/name: keepwell
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "keepwell.selects" -}}
app.kubernetes.io/name: keepwell
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
