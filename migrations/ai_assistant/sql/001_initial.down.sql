DROP TABLE practices;

DROP TABLE rules;
